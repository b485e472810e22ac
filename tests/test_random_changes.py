"""Random changes of the dataset, the results, the code and the runs, one after another.

After each run that ends well, the outputs are those that the original front end gives. CI tries a
few fixed sequences. For more of them, other ones each time, with each step printed as it is made:

    SEQUENCES=100 python -m pytest -n 0 -s tests/test_random_changes.py

Add --hypothesis-seed=1 to repeat the same sequences. Kills come at moments that no seed decides.
"""

import os
import re
import shutil
import signal
import tempfile
import time
from collections import Counter
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import psutil
from hypothesis import HealthCheck, Phase, Verbosity, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from wavs import log_mel_examples, make_dataset, write_wav
from wavspec.dataset import find_clips
from wavspec.digests import label_digest
from workflow import Workflow, kill_group

SEQUENCES = int(os.environ.get("SEQUENCES", 0))
EVERY_TRIGGER = ("--rerun-triggers", "mtime", "params", "input", "code", "software-env")

numbers = st.integers(0, 99)  # to choose one of as many things as there happen to be
names = st.sampled_from(["go/0.wav", "go/1.wav", "no/0.wav", "no/1.wav", "up/0.wav"])
sounds = st.tuples(st.integers(0, 5), st.sampled_from([16_000, 16_000, 17_000, 10_000]))
clones = st.integers(0, 1)
moments = st.floats(0, 4)  # seconds into a run
COUNT = Counter()  # of steps, runs and fresh names, over all sequences


class RandomChanges(RuleBasedStateMachine):
    """A dataset, its results, and two clones of the project that take turns on them."""

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="random_changes_"))
        self.dataset = make_dataset(self.folder / "dataset", labels=["go", "no"], clips=1)
        self.results = self.folder / "results"
        self.clones = [Workflow(self.folder / name, self.dataset) for name in ("one", "two")]
        self.short_clips = "invalid"
        self.orphans = []  # jobs that go on although their Snakemake was killed
        self.damaged = 0  # files since the last good run
        self.is_current = False
        self.changes = 0  # since the last run to the end

    def teardown(self):
        self.run_to_the_end(clone=0, options=())
        self.wait_for_orphans()
        shutil.rmtree(self.folder)
        print(", ".join(f"{count} {what}" for what, count in COUNT.items()))

    # The dataset

    def clips(self):
        return sorted(self.dataset.rglob("*.wav"))

    def several_clips(self):
        return len(self.clips()) > 1

    def clip(self, number):
        return self.clips()[number % len(self.clips())]

    def changed(self):
        COUNT["steps"] += 1
        self.changes += 1
        self.is_current = False

    def fresh(self, folder):
        """A path in `folder` that was never used before."""
        COUNT["names"] += 1
        return self.folder / folder / f"{COUNT['names']}"

    @rule(name=names, sound=sounds, is_old=st.booleans(), in_place=st.booleans())
    def write_clip(self, name, sound, is_old, in_place):
        """Add a clip or give one other content, often of the same size, with a new or old mtime."""
        self.changed()
        seed, samples = sound
        clip = self.dataset / name
        written = write_wav(clip if in_place else self.fresh("new"), seed, samples)
        if is_old:
            # No two alike: what alters neither path, size nor mtime is not seen.
            mtime = 10**18 + COUNT["steps"]
            os.utime(written, ns=(mtime, mtime))
        clip.parent.mkdir(exist_ok=True)
        written.rename(clip)

    @precondition(several_clips)
    @rule(number=numbers)
    def remove_clip(self, number):
        self.changed()
        self.clip(number).unlink()

    @rule(number=numbers, name=names)
    def rename_clip(self, number, name):
        self.changed()
        (self.dataset / name).parent.mkdir(exist_ok=True)
        self.clip(number).rename(self.dataset / name)

    @precondition(several_clips)
    @rule(number=numbers)
    def put_clip_aside(self, number):
        self.changed()
        aside = self.folder / "aside" / self.clip(number).relative_to(self.dataset)
        aside.parent.mkdir(parents=True, exist_ok=True)
        self.clip(number).rename(aside)

    @precondition(lambda self: any(self.folder.glob("aside/*/*")))
    @rule()
    def put_clips_back(self):
        """Put them back where they were, over others that are there by now."""
        self.changed()
        for clip in self.folder.glob("aside/*/*"):
            back = self.dataset / clip.relative_to(self.folder / "aside")
            back.parent.mkdir(exist_ok=True)
            clip.rename(back)

    @rule()
    def move_dataset(self):
        self.changed()
        self.dataset = self.dataset.rename(self.fresh("."))

    # The configuration

    @rule()
    def switch_short_clips(self):
        self.changed()
        self.short_clips = {"invalid": "pad", "pad": "invalid"}[self.short_clips]

    # The results

    def wait_for_orphans(self):
        psutil.wait_procs(self.orphans, timeout=60)
        self.orphans = []

    def has_results(self):
        return self.results.exists()

    def has_backup(self):
        return (self.folder / "backup").exists()

    @precondition(has_results)
    @rule()
    def move_results(self):
        self.changed()
        self.wait_for_orphans()
        self.results = self.results.rename(self.fresh("."))

    @precondition(has_results)
    @rule(keep_times=st.booleans())
    def copy_results(self, keep_times):
        """Go on in a copy, as by cp -a or cp -r."""
        self.changed()
        self.wait_for_orphans()
        copy = shutil.copy2 if keep_times else shutil.copy
        self.results = shutil.copytree(self.results, self.fresh("."), copy_function=copy)

    @precondition(has_results)
    @rule()
    def back_up_results(self):
        self.changed()
        self.wait_for_orphans()
        shutil.rmtree(self.folder / "backup", ignore_errors=True)
        shutil.copytree(self.results, self.folder / "backup")

    @precondition(has_backup)
    @rule(is_laid_over=st.booleans())
    def put_back_results(self, is_laid_over):
        """Put an older copy in the place of the results, or lay it over them file by file."""
        self.changed()
        self.wait_for_orphans()
        if not is_laid_over:
            shutil.rmtree(self.results, ignore_errors=True)
        shutil.copytree(self.folder / "backup", self.results, dirs_exist_ok=True)
        self.damaged += 2  # of two stages there are two seals then

    @precondition(has_results)
    @rule(number=numbers, damage=st.sampled_from(["delete", "cut", "empty", "append", "date"]))
    def damage_file(self, number, damage):
        files = sorted(path for path in self.results.glob("[!l]*/**/*") if path.is_file())
        files += sorted(path for path in self.results.glob("*.*") if path.is_file())
        if not files:
            return
        self.changed()
        file = files[number % len(files)]
        self.damaged += 1
        if damage == "delete":
            file.unlink()
        elif damage == "cut":
            os.truncate(file, max(0, file.stat().st_size - 20))
        elif damage == "empty":
            os.truncate(file, 0)
        elif damage == "append":
            with file.open("ab") as opened:
                opened.write(b'0,"\n')
        elif damage == "date":
            an_hour_ahead = time.time() + 3600
            os.utime(file, (an_hour_ahead, an_hour_ahead))

    @rule(clone=clones, what=st.sampled_from([".", "metadata", "incomplete"]))
    def delete_records(self, clone, what):
        self.changed()
        shutil.rmtree(self.clones[clone].folder / ".snakemake" / what, ignore_errors=True)

    # Runs

    def workflow(self, clone):
        workflow = self.clones[clone]
        workflow.dataset, workflow.results = self.dataset, self.results
        return workflow

    def snakemake(self, clone, *arguments, **options):
        COUNT["runs"] += 1
        return self.workflow(clone).snakemake(
            *arguments, check=False, short_clips=self.short_clips, **options
        )

    def start(self, clone):
        self.changed()
        COUNT["runs"] += 1
        return self.workflow(clone).start(short_clips=self.short_clips)

    @rule(clone=clones, options=st.sampled_from([(), ("--cores", "1"), EVERY_TRIGGER]))
    def run_to_the_end(self, clone, options):
        """Run until all is well, following what a refusal asks for, and compare."""
        COUNT["steps"] += 1
        for _ in range(4 + self.damaged):
            process = self.snakemake(clone, *options)
            if process.returncode == 0:
                break
            self.follow(process.stdout, clone)
        else:
            raise AssertionError(f"It never ended well:\n{process.stdout}")
        self.damaged = self.changes = 0
        self.is_current = True
        self.compare(process.stdout)

    @invariant()
    def run_after_a_few_changes(self):
        if self.changes == 3:
            self.run_to_the_end(clone=COUNT["steps"] % 2, options=())

    def follow(self, output, clone):
        """Do what the output of a run that failed asks for."""
        if damaged := re.search(r"^ *(\S+) (?:is|holds) .*\. Delete it, and run", output, re.M):
            path = Path(damaged[1])
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        elif "--unlock" in output:
            self.snakemake(clone, "--unlock")
        else:
            assert "run again" in output, output

    @precondition(lambda self: self.is_current)
    @rule(clone=clones)
    def ask_what_is_to_do(self, clone):
        COUNT["steps"] += 1
        assert self.workflow(clone).planned(short_clips=self.short_clips) == set()

    @rule(
        clone=clones,
        part=st.sampled_from(["catalog", "--until spectrograms", "a chunk", "--dry-run"]),
        number=numbers,
    )
    def run_a_part(self, clone, part, number):
        self.changed()
        if part == "a chunk":
            label, clips = list(find_clips(self.dataset).labels.items())[number % 2 - 1]
            digest = label_digest(clips, self.short_clips)
            part = f"{self.results}/chunks/{label}.{digest}.npy"
        self.snakemake(clone, *part.split())

    @rule(clone=clones, moment=moments)
    def kill_all_processes(self, clone, moment):
        process = self.start(clone)
        time.sleep(moment)
        kill_group(process)

    @rule(clone=clones, moment=moments)
    def kill_snakemake_alone(self, clone, moment):
        """Its jobs go on, while the next steps are made."""
        process = self.start(clone)
        time.sleep(moment)
        if process.poll() is None:
            self.orphans += psutil.Process(process.pid).children(recursive=True)
            process.kill()
        process.wait()
        process.stdout.close()

    @rule(clone=clones, moment=moments)
    def press_ctrl_c(self, clone, moment):
        process = self.start(clone)
        time.sleep(moment)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate()

    @rule(clone=clones, moment=moments, number=numbers, sound=sounds, is_put_back=st.booleans())
    def exchange_a_clip_during_a_run(self, clone, moment, number, sound, is_put_back):
        clip, aside = self.clip(number), self.fresh("new")
        aside.parent.mkdir(exist_ok=True)
        process = self.start(clone)
        time.sleep(moment)
        clip.rename(aside)
        write_wav(clip, *sound)
        if is_put_back:
            time.sleep(moment / 2)
            aside.rename(clip)
        process.communicate()

    @rule(
        clone=clones,
        moment=moments,
        edit=st.sampled_from(
            [
                ("wavspec/front_end.py", "LOG_OFFSET = 0.01", "LOG_OFFSET = 0.02"),
                ("concatenate.py", "row.valid])", "not row.valid])"),
            ]
        ),
        is_put_back_at_once=st.booleans(),
    )
    def edit_code_before_or_during_a_run(self, clone, moment, edit, is_put_back_at_once):
        """The edited code gives other bytes. It is put back with its old mtime."""
        script, right, wrong = edit
        script = self.clones[clone].folder / "workflow_scripts" / script
        text, status = script.read_text(), script.stat()
        assert right in text
        before_the_run = moment < 2
        if before_the_run:
            script.write_text(text.replace(right, wrong))
        process = self.start(clone)
        time.sleep(moment)
        script.write_text(text.replace(right, wrong))
        if not is_put_back_at_once:
            process.communicate()
        script.write_text(text)
        os.utime(script, ns=(status.st_atime_ns, status.st_mtime_ns))
        process.communicate()

    # What must be true after a run

    def compare(self, output):
        clips = sorted(self.clips(), key=lambda clip: (clip.parent.name, clip.name))
        rows = [expected_row(clip.read_bytes(), self.short_clips) for clip in clips]
        table = pd.DataFrame(
            {
                "file_name": map(str, clips),
                "label": [clip.parent.name for clip in clips],
                "valid": [row is not None for row in rows],
            }
        )
        spectrograms = np.fromfile(self.results / "wavfile_spec.dat").reshape((-1, 96, 64))
        assert (self.results / "wavfile_df.csv").read_text() == table.to_csv(), output
        for row, spectrogram in zip(rows, spectrograms, strict=True):
            assert np.array_equal(np.zeros((96, 64)) if row is None else row, spectrogram), output
        invalid = pd.read_csv(self.results / "invalid.csv")
        assert list(invalid["file_name"]) == list(table["file_name"][~table["valid"]]), output
        split = pd.read_csv(self.results / "wavfile_split.csv", dtype=str)
        assert list(split["speaker"]) == [clip.stem for clip in clips], output


@cache
def expected_row(content, short_clips):
    """The one example of a plain WAV file's content by the original front end, None if invalid."""
    samples = np.frombuffer(content[44:], "<i2") / 32768.0
    if len(samples) < 15_600 and short_clips == "pad":
        samples = np.pad(samples, (0, 15_600 - len(samples)))
    return log_mel_examples(samples)[0] if len(samples) >= 15_600 else None


def test_random_changes():
    run_state_machine_as_test(
        RandomChanges,
        settings=settings(
            max_examples=SEQUENCES or 3,
            stateful_step_count=20 if SEQUENCES else 12,
            derandomize=not SEQUENCES,
            database=None,
            deadline=None,
            # To make a failing sequence shorter would take an hour.
            phases=[Phase.generate],
            verbosity=Verbosity.debug if SEQUENCES else Verbosity.normal,
            suppress_health_check=list(HealthCheck),
        ),
    )
