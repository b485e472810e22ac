"""Interrupted runs, a full disk, a dataset that changes, and results changed by hand.

KILLS=30 python -m pytest tests/test_faults.py tries thirty kills instead of a few.
"""

import errno
import os
import random
import re
import shutil
import signal
import struct
import subprocess
import threading
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from damage import append, cut, empty, not_utf_8
from pipeline.digests import digest_in, remove_superseded
from pipeline.files import atomic_outputs
from pipeline.labels import count_rows, read_clips, read_rows
from pipeline.stamps import read_stamp
from wavs import SETTINGS, make_dataset, write_wav
from wavspec.audio import ClipChangedError, read_clip
from wavspec.chunk import ChunkError
from wavspec.errors import WavspecError
from workflow import Workflow, jobs_named, kill_group, wait_until

KILLS = int(os.environ.get("KILLS", 4))
ENDS = {"concatenate", "pictures", "tables"}
JOBS_OF_NO = {"catalog", "spectrograms no", *ENDS}


# Interrupted runs


def finished_chunks(output):
    """The "spectrograms label" jobs that Snakemake announced as finished."""
    header = r"^(?:local)?rule spectrograms:\n(?: +.*\n)*? +"
    jobs = re.findall(rf"{header}jobid: (\d+)\n", output, re.MULTILINE)
    labels = re.findall(rf"{header}wildcards: label=(.*), digest=", output, re.MULTILINE)
    finished = set(re.findall(r"^Finished jobid: (\d+) ", output, re.MULTILINE))
    return {
        f"spectrograms {label}" for job, label in zip(jobs, labels, strict=True) if job in finished
    }


def recovers(workflow, output):
    """Check that the next run is right, and does not recompute finished chunks."""
    before = workflow.written()
    process = workflow.snakemake(check=False)
    if process.returncode:
        assert "--unlock" in process.stdout
        workflow.snakemake("--unlock")
        workflow.snakemake()
    after = workflow.written()
    for job in finished_chunks(output):
        assert after[job] == before[job]
    assert workflow.outputs() == workflow.expected()
    # All files are complete, and no unfinished ones are left.
    assert not list(workflow.results.rglob("*.unfinished"))
    labels = len(list(workflow.dataset.iterdir()))
    for folder, files in {"catalog": labels, "chunks": 2 * labels}.items():
        assert len(list((workflow.results / folder).iterdir())) == files
    for stage in ("catalog", *ENDS):
        [stamp] = workflow.results.glob(f"stamps/{stage}.*")
        assert read_stamp(stamp)[1] == ""


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_run_killed_at_any_moment_is_finished_by_the_next(tmp_path, seed):
    """After any of the jobs, or a moment later, in the middle of the next."""
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=30))
    moment = random.Random(seed)
    jobs_done = (0, 1, 4, 5, 2, 3, 6)[seed % 7]
    process = workflow.start()
    wait_until(lambda: len(workflow.written()) >= jobs_done or process.poll() is not None)
    time.sleep(moment.uniform(0, 0.5) if jobs_done else moment.uniform(0, 3))
    recovers(workflow, kill_group(process))


@pytest.mark.parametrize("script", ["catalog.py", "spectrograms.py", "concatenate.py"])
def test_a_run_killed_before_it_noted_that_a_job_is_done(tmp_path, script):
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", ["no"]))
    process = workflow.start()
    wait_until(lambda: jobs_of(process, script))
    process.send_signal(signal.SIGSTOP)
    jobs = psutil.Process(process.pid).children()
    wait_until(lambda: all(job.status() == psutil.STATUS_ZOMBIE for job in jobs))
    recovers(workflow, kill_group(process))


@pytest.fixture
def large(tmp_path):
    """The workflow with enough clips for a long concatenation."""
    return Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=500))


def parts(workflow):
    """The unfinished file of the spectrograms."""
    return list(workflow.results.glob(".concatenate.*.unfinished/*"))


def test_a_run_killed_while_it_concatenates(large):
    process = large.start()
    wait_until(lambda: parts(large))
    output = kill_group(process)
    assert len(finished_chunks(output)) == 3
    spectrograms = large.results / "wavfile_spec.dat"
    # On a slow machine the signal may come too late, but the file is never partial.
    assert not spectrograms.exists() or spectrograms.stat().st_size == 1500 * 96 * 64 * 8
    recovers(large, output)


@pytest.mark.parametrize("moment", ["when it starts", "while it writes"])
def test_a_job_that_goes_on_after_snakemake_was_killed_spoils_nothing(large, moment):
    process = large.start()
    [orphan] = wait_until(lambda: jobs_of(process, "concatenate.py"))
    if moment == "while it writes":
        wait_until(lambda: parts(large))
    orphan.suspend()
    process.kill()
    process.wait()
    process.stdout.close()
    assert bool(parts(large)) == (moment == "while it writes")

    if moment == "when it starts":
        write_wav(large.dataset / "no" / "0.wav", seed=7)
    else:
        # All chunks that it reads stay as they are.
        large.dataset = large.dataset.rename(large.folder / "moved")
    large.snakemake("--unlock")
    large.snakemake()
    outputs = large.outputs()
    assert outputs == large.expected()

    orphan.resume()
    wait_until(lambda: not orphan.is_running() or orphan.status() == psutil.STATUS_ZOMBIE)
    assert large.outputs() == outputs
    large.snakemake()
    assert large.outputs() == outputs


def test_a_stage_that_a_later_run_overtook_replaces_none_of_its_outputs(tmp_path):
    outputs = [tmp_path / "model.keras", tmp_path / "metrics.json"]
    with (
        pytest.raises(WavspecError, match="another run"),
        atomic_outputs(outputs, tmp_path, "classifier") as overtaken_parts,
    ):
        with atomic_outputs(outputs, tmp_path, "classifier") as parts:
            for part in parts:
                Path(part).write_text("later")
        for part in overtaken_parts:
            Path(part).write_text("overtaken")
    assert [output.read_text() for output in outputs] == ["later", "later"]
    assert sorted(tmp_path.iterdir()) == sorted(outputs)


def test_what_a_killed_job_left_is_removed_with_the_label_that_it_was_for(tmp_path):
    current, gone = "no.0123456789ab", "no.ba9876543210"
    (tmp_path / ".ba9876543210.000000000000.unfinished").mkdir()
    (tmp_path / ".ba9876543210.000000000000.unfinished" / "0.npy").touch()
    for name in (f"{current}.npy", f"{gone}.npy", f"{gone}.csv", "notes.txt"):
        (tmp_path / name).touch()
    remove_superseded(tmp_path, [".npy", ".csv"], {current})
    assert {path.name for path in tmp_path.iterdir()} == {f"{current}.npy", "notes.txt"}


def jobs_of(process, script):
    """The running processes of a script, started by this run of Snakemake."""
    jobs = []
    for job in psutil.Process(process.pid).children():
        with suppress(psutil.NoSuchProcess):  # it has ended meanwhile
            if script in " ".join(job.cmdline()):
                jobs.append(job)
    return jobs


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_finished_by_the_next(tmp_path, sent):
    workflow = Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset", clips=100))
    process = workflow.start()
    wait_until(lambda: list(workflow.results.glob("chunks/*.npy")))
    if sent == signal.SIGINT:
        os.killpg(process.pid, sent)  # what a terminal's Ctrl-C does
    else:
        process.send_signal(sent)
    output = process.communicate(timeout=60)[0]
    assert process.returncode
    recovers(workflow, output)


def test_two_runs_at_once_do_not_mix(workflow):
    runs = [workflow.start(), workflow.start()]
    outputs = [run.communicate()[0] for run in runs]
    assert sorted(run.returncode for run in runs) == [0, 1]
    assert sorted(map(bool, map(jobs_named, outputs))) == [False, True]
    assert workflow.outputs() == workflow.expected()


# A machine that does not do its part


@pytest.fixture
def small_disk(workflow):
    """The workflow with its results on a separate file system, and a function to resize it."""
    workflow.results.mkdir(exist_ok=True)

    def resize(kilobytes, option=""):
        options = f"size={kilobytes}k{option}"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", workflow.results], check=True
        )

    try:
        resize(10_000)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no permission to mount a small file system")
    yield workflow, lambda kilobytes: resize(kilobytes, ",remount")
    subprocess.run(["umount", "--lazy", workflow.results], check=True)


@pytest.mark.parametrize(("kilobytes", "stage"), [(200, "chunks/"), (500, "wavfile_spec.dat")])
def test_a_full_disk_is_named_and_nothing_half_written_is_kept(small_disk, kilobytes, stage):
    workflow, resize = small_disk
    resize(kilobytes)
    # One job at a time: of two, each may find room before the other has taken it.
    process = workflow.snakemake(cores=1, check=False, check_room="false")
    assert process.returncode == 1
    cause = rf"^ *cause: cannot write .*results/{stage}.*$"
    message = re.search(cause, process.stdout, re.MULTILINE)
    assert message, process.stdout
    assert "No space left" in message[0]
    assert not (workflow.results / "wavfile_spec.dat").exists()
    assert not list(workflow.results.rglob("*.unfinished"))
    resize(10_000)
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()


def test_a_broken_environment_ends_the_run_and_is_no_fault_of_the_clips(workflow):
    write_wav(workflow.dataset / "no" / "slow.wav", rate=8_000, samples=8_000)
    broken = workflow.folder / "broken"
    broken.mkdir()
    (broken / "resampy.py").write_text("raise ImportError('numba is not what it was')")
    workflow.environment = {**os.environ, "PYTHONPATH": str(broken)}
    process = workflow.snakemake(check=False)
    assert process.returncode == 1 and "numba is not what it was" in process.stdout
    workflow.environment = None
    workflow.snakemake()
    assert not (workflow.results / "invalid.csv").read_text().count("\n") > 1


# A dataset that changes


def started(workflow):
    """Whether the first job has started; it has not read the clips yet."""
    return (workflow.results / "logs").exists()


def cataloged(workflow):
    """Whether the catalogs are complete; the jobs that read clips have not started yet."""
    return (workflow.results / "catalog.csv").exists()


def said_run_again(workflow):
    return [
        log
        for log in workflow.results.glob("logs/**/*.log")
        if log.read_text().rstrip().endswith("run again")
    ]


def run_during(workflow, *changes):
    """Run the workflow, which must fail; make each (moment, change) during the run."""

    def watch():
        for moment, change in changes:
            wait_until(lambda moment=moment: moment(workflow))
            change()

    watcher = threading.Thread(target=watch)
    watcher.start()
    process = workflow.snakemake(check=False)
    watcher.join()
    assert process.returncode == 1
    return process.stdout


def change_size(clip):
    write_wav(clip, seed=9, samples=17_000)


def change_content(clip):
    write_wav(clip, seed=9)


def vanish(clip):
    clip.unlink()


def test_clips_that_change_during_the_run_end_their_labels_alone(workflow):
    make_dataset(workflow.dataset, ["same"])
    changes = {"go": change_size, "no": change_content, "yes": vanish}
    clips = {label: workflow.dataset / label / "0.wav" for label in changes}
    output = run_during(
        workflow,
        (cataloged, lambda: [change(clips[label]) for label, change in changes.items()]),
    )
    for clip in clips.values():
        assert f"{workflow.relative(clip)} changed during the run: run again" in output
    assert {chunk.name[:4] for chunk in workflow.results.glob("chunks/*")} == {"same"}
    assert not (workflow.results / "wavfile_spec.dat").exists()
    assert workflow.run() == {"catalog", *(f"spectrograms {label}" for label in changes), *ENDS}
    assert workflow.outputs() == workflow.expected()


@pytest.mark.parametrize("moment", [started, cataloged])
def test_clips_exchanged_and_exchanged_back_within_a_run(workflow, moment):
    exchanges = {"no": change_size, "yes": change_content}
    clips = {label: workflow.dataset / label / "0.wav" for label in exchanges}
    aside = {label: workflow.folder / f"{label}.wav" for label in exchanges}

    def exchange():
        for label, change in exchanges.items():
            clips[label].rename(aside[label])
            change(clips[label])

    def exchange_back():
        for label in exchanges:
            aside[label].rename(clips[label])

    def both_said(workflow):
        return len(said_run_again(workflow)) >= 2

    run_during(workflow, (moment, exchange), (both_said, exchange_back))
    assert {chunk.name[:3] for chunk in workflow.results.glob("chunks/*")} <= {"go."}
    redone = {f"spectrograms {label}" for label in exchanges}
    assert {*redone, "concatenate"} <= workflow.run() <= {"catalog", *redone, *ENDS}
    assert workflow.outputs() == workflow.expected()


def test_code_edited_during_a_run_makes_no_chunk_under_the_digest_of_the_code_before(workflow):
    # Some labels have yet to begin, however late the edit comes.
    make_dataset(workflow.dataset, [f"word{number}" for number in range(6)], clips=1)
    script = workflow.folder / "workflow_scripts" / "wavspec" / "front_end.py"
    text = script.read_text()
    assert "LOG_OFFSET = 0.01" in text
    run_during(
        workflow,
        (cataloged, lambda: script.write_text(text.replace("= 0.01", "= 0.020"))),
    )
    script.write_text(text)
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()


def test_a_folder_replaced_by_a_file_during_the_run_is_a_changed_clip(tmp_path):
    (tmp_path / "no").write_text("no folder any more")
    with pytest.raises(ClipChangedError, match=r"no/0\.wav changed during the run"):
        read_clip(tmp_path / "no" / "0.wav", (32_044, 1))


class WithoutPrivileges(Workflow):
    """The workflow as a user without root's permission to read every file."""

    def command(self, *arguments, **config):
        drop = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
        return [*(drop if os.geteuid() == 0 else []), *super().command(*arguments, **config)]


def deny_by_mode(clip):
    clip.chmod(0)


def deny_by_acl(clip):
    """Deny this user the clip by an access control list, with mode 0644."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a clip to another user, to be denied it then")
    os.chown(clip, 65_534, -1)
    no_id, user = 0xFFFFFFFF, os.geteuid()
    # Linux's format: (tag, permissions, user) of owner, one named user, group, mask and others.
    entries = [(1, 6, no_id), (2, 0, user), (4, 4, no_id), (16, 4, no_id), (32, 4, no_id)]
    packed = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(clip, "system.posix_acl_access", packed)
    except OSError as error:
        assert error.errno == errno.ENOTSUP
        pytest.skip("this file system has no access control lists")
    assert clip.stat().st_mode & 0o777 == 0o644


@pytest.mark.skipif(
    os.geteuid() == 0 and not shutil.which("setpriv"), reason="root may read any file"
)
@pytest.mark.parametrize("deny", [deny_by_mode, deny_by_acl])
def test_a_clip_that_may_not_be_read_is_an_invalid_row(tmp_path, deny):
    workflow = WithoutPrivileges(tmp_path / "project", make_dataset(tmp_path / "dataset"))
    deny(workflow.dataset / "no" / "0.wav")
    workflow.snakemake()
    [_, row] = (workflow.results / "invalid.csv").read_text().splitlines()
    assert row.endswith("no/0.wav,no,unreadable,Permission denied,,,")
    assert workflow.run() == set()


def test_a_folder_that_may_not_be_listed_is_named(tmp_path):
    workflow = WithoutPrivileges(tmp_path / "project", make_dataset(tmp_path / "dataset"))
    (workflow.dataset / "no").chmod(0)
    process = workflow.snakemake("--dry-run", check=False)
    (workflow.dataset / "no").chmod(0o755)
    assert process.returncode == 1
    assert re.search(r"cannot list '\S*dataset/no': Permission denied", process.stdout)
    assert "Traceback" not in process.stdout


# Results changed by hand


LOST = {
    "chunks/no.*.npy": {"spectrograms no", "concatenate", "pictures"},
    "chunks/no.*.csv": {"spectrograms no", "pictures", "tables"},
    "wavfile_spec.dat": {"concatenate"},
    "wavfile_split.csv": {"tables"},
    "stamps/concatenate.*": {"concatenate"},
    "catalog.csv": {"catalog"},
    "catalog/no.*": set(),
}


def test_what_is_deleted_by_hand_is_made_again_when_it_is_needed(built):
    for lost, jobs in LOST.items():
        [path] = built.results.glob(lost)
        path.unlink()
        assert built.run() == jobs, lost
        assert built.outputs() == built.expected()
    write_wav(built.dataset / "no" / "0.wav", seed=9)
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def cut_a_line(path):
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def swapped_with_go(path):
    [other] = path.parent.glob(f"go.*{path.suffix}")
    aside = path.with_name("aside")
    path.rename(aside)
    other.rename(path)
    aside.rename(other)


TAMPERING = {
    "chunk cut": (cut, ".npy"),
    "chunk emptied": (empty, ".npy"),
    "chunk with rubbish at its end": (append, ".npy"),
    "table cut": (cut, ".csv"),
    "table cut by a line": (cut_a_line, ".csv"),
    "table emptied": (empty, ".csv"),
    "table with rubbish at its end": (append, ".csv"),
    "table of another label": (swapped_with_go, ".csv"),
    "table not UTF-8": (not_utf_8, ".csv"),
}


STAGE_OF = {".npy": "concatenate", ".csv": "tables"}  # that notices


@pytest.mark.parametrize(("change", "ending"), TAMPERING.values(), ids=TAMPERING)
def test_a_chunk_or_table_changed_by_hand_is_refused_and_removed(built, change, ending):
    chunk, table = built.chunk("no"), built.chunk("no", ".csv")
    assert count_rows(chunk) == len(read_rows([table], SETTINGS)) == 2
    size = built.chunk("no", ending).stat().st_size
    change(built.chunk("no", ending))
    noticed = built.chunk("no", ending).stat().st_size != size
    assert built.planned() == ({STAGE_OF[ending]} if noticed else set())
    with pytest.raises(ChunkError, match="It was removed: run again"):
        read_rows([table], SETTINGS)
    assert not chunk.exists() and not table.exists()


@pytest.mark.parametrize("change", [cut, empty, append])
def test_a_chunk_changed_by_hand_is_not_concatenated(built, change):
    chunk = built.chunk("no")
    change(chunk)
    with pytest.raises(ChunkError, match="It was removed: run again"):
        count_rows(chunk)
    assert not chunk.exists()


@pytest.mark.parametrize("kind", ["chunk cut", "table cut", "table of another label"])
def test_two_runs_heal_a_damaged_chunk_or_table(built, kind):
    change, ending = TAMPERING[kind]
    change(built.chunk("no", ending))
    if kind == "table of another label":  # of the same size, and noticed when it is needed
        write_wav(built.dataset / "yes" / "0.wav", seed=9)
    process = built.snakemake(check=False)
    assert process.returncode == 1
    assert "It was removed: run again" in process.stdout
    if kind == "table of another label":  # a run removes one damaged table, and here there are two
        built.snakemake(check=False)
    built.snakemake()
    assert built.outputs() == built.expected()


def test_a_damaged_chunk_that_several_stages_need_is_named_at_the_end(built):
    """Once one of them has removed it, Snakemake waits for the file and gives up the run."""
    shutil.rmtree(built.dataset / "go")
    empty(built.chunk("no"))
    process = built.snakemake(cores=1, check=False)
    assert process.returncode == 1
    assert "It was removed: run again" in process.stdout.rpartition("failed:")[2]
    built.snakemake()
    assert built.outputs() == built.expected()


@pytest.mark.parametrize("change", [cut_a_line, empty, append, swapped_with_go])
def test_a_catalog_changed_by_hand_is_refused(built, change):
    catalog = built.catalog("no")
    digest = digest_in(catalog)
    assert len(read_clips(catalog, digest, SETTINGS)) == 2
    change(catalog)
    with pytest.raises(
        ChunkError, match="does not have the clips and the code of its name: run again"
    ):
        read_clips(catalog, digest, SETTINGS)


def test_a_catalog_changed_by_hand_is_never_followed(built):
    swapped_with_go(built.catalog("no"))
    built.chunk("no").unlink()
    process = built.snakemake(check=False)
    assert process.returncode == 1
    named = r"results/catalog/no\.\w+\.csv does not have the clips and the code of its name"
    assert re.search(f"{named}: run again", process.stdout)
    built.snakemake()
    assert built.outputs() == built.expected()


def letters_for_numbers(path):
    path.write_text(re.sub(r",\d+", ",x", path.read_text()))


@pytest.mark.parametrize("change", [empty, append, letters_for_numbers])
def test_a_damaged_catalog_of_a_changed_label_is_written_anew(built, change):
    change(built.catalog("no"))
    write_wav(built.dataset / "no" / "0.wav", seed=9)
    assert "no (its catalog is damaged)" in built.snakemake("--dry-run").stdout
    assert built.run() == JOBS_OF_NO
    assert built.outputs() == built.expected()


def test_a_chunk_from_the_future_is_as_good_as_any(built):
    for path in (built.chunk("no"), built.chunk("go", ".csv"), built.catalog("yes")):
        ahead = time.time() + 3600
        os.utime(path, (ahead, ahead))
    write_wav(built.dataset / "yes" / "0.wav", seed=9)
    assert built.planned() == {"catalog", "spectrograms yes", *ENDS}
    built.snakemake()
    assert built.outputs() == built.expected()
    assert built.run() == set()


def test_other_spellings_of_the_results_folder_are_the_same_folder(built):
    for number, spelling in enumerate([f"{built.results}/", "./results", "rules/../results"]):
        write_wav(built.dataset / "no" / "0.wav", seed=50 + number)
        assert built.run(results=spelling) == JOBS_OF_NO
        assert built.outputs() == built.expected()
