"""Random changes of the dataset, the results, the code and the runs, one after another.

After each successful run, the outputs equal those of the original front end. CI tries a
few seeds. For sixty of them, with a hundred changes each:

    SEEDS=60 CHANGES=100 python -m pytest tests/test_random_changes.py

A seed makes the same changes each time, and the report of a failure lists them. The effect of kills
and of changes during a run also depends on the machine.
"""

import os
import random
import shutil
import signal
import time
from functools import cache

import numpy as np
import pandas as pd
import psutil
import pytest
from pipeline.provenance import label_digest
from wavs import SETTINGS, log_mel_examples, make_dataset, write_wav
from wavspec.dataset import find_clips
from workflow import Workflow, kill_group

SEEDS = int(os.environ.get("SEEDS", 4))
CHANGES = int(os.environ.get("CHANGES", 8))

NAMES = ["go/0.wav", "go/1.wav", "no/0.wav", "no/1.wav", "up/0.wav"]
LENGTHS = [16_000, 16_000, 17_000, 10_000]  # in samples; the last is too short
EDITS = [
    ("before the run", "wavspec/front_end.py", "LOG_OFFSET = 0.01", "LOG_OFFSET = 0.02"),
    ("during the run", "wavspec/front_end.py", "LOG_OFFSET = 0.01", "LOG_OFFSET = 0.02"),
    ("before the run", "tables.py", "rows.loc[~rows", "rows.loc[rows"),
]


class RandomChanges:
    """A dataset, its results, and two clones of the project that take turns on them."""

    def __init__(self, folder, seed):
        self.random = random.Random(seed)
        self.folder = folder
        self.dataset = make_dataset(folder / "dataset", labels=["go", "no"], clips=1)
        self.results = folder / "results"
        self.results.mkdir()
        self.clones = [Workflow(folder / name, self.dataset) for name in ("one", "two")]
        self.short_clips = "invalid"
        self.orphans = []  # jobs that go on although their Snakemake was killed
        self.damaged = 0  # files since the last good run
        self.fresh_names = 0

    def change(self):
        """Make one change, which can be a run with any end."""
        change = self.random.choice(ALL_CHANGES)
        print(change.__name__)
        change(self)

    def choose(self, options):
        """Choose one, and print it for the report."""
        chosen = self.random.choice(options)
        print("   ", chosen)
        return chosen

    def moment(self):
        """Wait for a moment of a run."""
        seconds = self.random.uniform(0, 4)
        print(f"    after {seconds:.1f} s")
        time.sleep(seconds)

    def fresh(self):
        """A path that was never used before."""
        self.fresh_names += 1
        return self.folder / f"{self.fresh_names}"

    # The dataset

    def clips(self):
        return sorted(self.dataset.rglob("*.wav"))

    def write_clip(self):
        """Add or replace a clip, often with the same size, with a new or old mtime."""
        clip = self.dataset / self.choose(NAMES)
        in_place, is_old = self.choose([True, False]), self.choose([True, False])
        written = self.write_sound(clip if in_place else self.fresh())
        if is_old:
            # All different: without a change of path, size or mtime, nothing is noticed.
            mtime = self.random.randrange(10**18)
            os.utime(written, ns=(mtime, mtime))
        clip.parent.mkdir(exist_ok=True)
        written.rename(clip)

    def write_sound(self, path):
        return write_wav(path, self.choose(range(6)), self.choose(LENGTHS))

    def remove_clip(self):
        if len(self.clips()) > 1:
            self.choose(self.clips()).unlink()

    def rename_clip(self):
        clip, name = self.choose(self.clips()), self.choose(NAMES)
        (self.dataset / name).parent.mkdir(exist_ok=True)
        clip.rename(self.dataset / name)

    def remove_label(self):
        folder = self.choose(self.clips()).parent
        if any(clip.parent != folder for clip in self.clips()):
            shutil.rmtree(folder)

    def put_clip_aside(self):
        if len(self.clips()) > 1:
            clip = self.choose(self.clips())
            aside = self.folder / "aside" / clip.relative_to(self.dataset)
            aside.parent.mkdir(parents=True, exist_ok=True)
            clip.rename(aside)

    def put_clips_back(self):
        """Put them back to their places, replacing others."""
        for clip in self.folder.glob("aside/*/*"):
            back = self.dataset / clip.relative_to(self.folder / "aside")
            back.parent.mkdir(exist_ok=True)
            clip.rename(back)

    def move_dataset(self):
        self.dataset = self.dataset.rename(self.fresh())

    # The configuration

    def switch_short_clips(self):
        self.short_clips = {"invalid": "pad", "pad": "invalid"}[self.short_clips]

    def config(self):
        # After a move, the results and the dataset may have no clip in common.
        return {"short_clips": self.short_clips, "replace_results": "true"}

    # The results

    def wait_for_orphans(self):
        psutil.wait_procs(self.orphans, timeout=60)
        self.orphans = []

    def move_results(self):
        self.wait_for_orphans()
        self.results = self.results.rename(self.fresh())

    def copy_results(self):
        """Continue in a copy, as by cp -a or cp -r."""
        self.wait_for_orphans()
        copy = self.choose([shutil.copy2, shutil.copy])
        self.results = shutil.copytree(self.results, self.fresh(), copy_function=copy)

    def back_up_results(self):
        self.wait_for_orphans()
        shutil.rmtree(self.folder / "backup", ignore_errors=True)
        shutil.copytree(self.results, self.folder / "backup")

    def put_back_results(self):
        """Replace the results with an older copy, or copy it over them file by file."""
        if (self.folder / "backup").exists():
            self.wait_for_orphans()
            if self.choose(["in place", "over the newer files"]) == "in place":
                shutil.rmtree(self.results)
            shutil.copytree(self.folder / "backup", self.results, dirs_exist_ok=True)
            self.damaged += 5

    def damage_file(self):
        self.wait_for_orphans()
        # Not the folders of unfinished files that a kill leaves.
        files = [path for path in sorted(self.results.rglob("*.*")) if path.is_file()]
        files = [path for path in files if path.suffix != ".log"]
        if not files:
            return
        file = self.choose(files)
        damage = self.choose(["delete", "cut", "empty", "append", "date"])
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

    def delete_folder(self):
        self.wait_for_orphans()
        folder = self.choose(["catalog", "chunks", "stamps", "logs"])
        shutil.rmtree(self.results / folder, ignore_errors=True)

    def delete_records(self):
        records = self.choose([".", "metadata", "incomplete"])
        shutil.rmtree(self.clone().folder / ".snakemake" / records, ignore_errors=True)

    # Runs

    def clone(self):
        clone = self.random.choice(self.clones)
        clone.dataset, clone.results = self.dataset, self.results
        print("    in", clone.folder.name)
        return clone

    def start(self):
        return self.clone().start(**self.config())

    def run_to_the_end(self):
        """Run until success, following the advice of error messages, and compare."""
        clone = self.clone()
        options = self.choose([[], ["--rerun-triggers", "mtime", "params", "input", "code"]])
        cores = self.choose([1, 2])
        for _ in range(4 + self.damaged):
            process = self.snakemake(clone, *options, cores=cores)
            if process.returncode == 0:
                break
            self.follow(process.stdout, clone)
        else:
            raise AssertionError(f"It never ended well:\n{process.stdout}")
        self.damaged = 0
        self.compare(process.stdout)
        assert clone.planned(*options, **self.config()) == set()

    def snakemake(self, clone, *arguments, **options):
        return clone.snakemake(*arguments, check=False, **self.config(), **options)

    def follow(self, output, clone):
        """Follow the advice in the output of a failed run."""
        if "--unlock" in output:
            self.snakemake(clone, "--unlock")
        elif "clips is valid:" in output:
            rows = [expected_row(clip.read_bytes(), self.short_clips) for clip in self.clips()]
            assert not any(row is not None for row in rows), output
            write_wav(self.dataset / "go" / "0.wav")
        else:
            assert "run again" in output, output

    def run_a_part(self):
        clone = self.clone()
        label, clips = self.random.choice(list(find_clips(self.dataset).labels.items()))
        digest = label_digest(clips, {**SETTINGS, "short_clips": self.short_clips})
        chunk = f"{self.results}/chunks/{label}.{digest}.npy"
        part = self.choose(["catalog", "--until spectrograms", "--until tables", chunk])
        self.snakemake(clone, *part.split())

    def kill_all_processes(self):
        process = self.start()
        self.moment()
        kill_group(process)

    def kill_snakemake_alone(self):
        """Its jobs continue during the next changes."""
        process = self.start()
        self.moment()
        if process.poll() is None:
            self.orphans += psutil.Process(process.pid).children(recursive=True)
            process.kill()
        process.wait()
        process.stdout.close()

    def press_ctrl_c(self):
        process = self.start()
        self.moment()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
        process.communicate()

    def exchange_a_clip_during_a_run(self):
        clip, aside = self.choose(self.clips()), self.fresh()
        process = self.start()
        self.moment()
        clip.rename(aside)
        self.write_sound(clip)
        if self.choose(["exchanged", "exchanged back"]) == "exchanged back":
            self.moment()
            aside.rename(clip)
        process.communicate()

    def edit_code_for_a_run(self):
        """The edited code gives other bytes. It is restored with its old mtime after the run."""
        moment, script, right, wrong = self.choose(EDITS)
        clone = self.clone()
        script = clone.folder / "workflow_scripts" / script
        text, status = script.read_text(), script.stat()
        assert right in text
        if moment == "before the run":
            script.write_text(text.replace(right, wrong))
        process = clone.start(**self.config())
        self.moment()
        script.write_text(text.replace(right, wrong))
        process.communicate()
        script.write_text(text)
        os.utime(script, ns=(status.st_atime_ns, status.st_mtime_ns))

    # What must be true after a run

    def compare(self, output):
        clips = sorted(self.clips(), key=lambda clip: (clip.parent.name, clip.name))
        rows = [expected_row(clip.read_bytes(), self.short_clips) for clip in clips]
        dataset = os.path.relpath(self.dataset, self.clones[0].folder)  # as it is configured
        table = pd.DataFrame(
            {
                "file_name": [
                    os.path.join(dataset, clip.relative_to(self.dataset)) for clip in clips
                ],
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
        assert split["speaker"].isna().all(), output  # the names do not have it


ALL_CHANGES = [
    *(RandomChanges.write_clip, RandomChanges.remove_clip, RandomChanges.rename_clip),
    *(RandomChanges.remove_label, RandomChanges.put_clip_aside, RandomChanges.put_clips_back),
    *(RandomChanges.move_dataset, RandomChanges.switch_short_clips),
    *(RandomChanges.move_results, RandomChanges.copy_results),
    *(RandomChanges.back_up_results, RandomChanges.put_back_results),
    *(RandomChanges.damage_file, RandomChanges.delete_folder, RandomChanges.delete_records),
    *(RandomChanges.run_a_part, RandomChanges.kill_all_processes),
    *(RandomChanges.kill_snakemake_alone, RandomChanges.press_ctrl_c),
    *(RandomChanges.exchange_a_clip_during_a_run, RandomChanges.edit_code_for_a_run),
    *(4 * [RandomChanges.write_clip]),
    *(4 * [RandomChanges.damage_file]),
    *(10 * [RandomChanges.run_to_the_end]),
]


@cache
def expected_row(content, short_clips):
    """The one example of a plain WAV file's content by the original front end, None if invalid."""
    samples = np.frombuffer(content[44:], "<i2") / 32768.0
    if len(samples) < 15_600 and short_clips == "pad":
        samples = np.pad(samples, (0, 15_600 - len(samples)))
    return log_mel_examples(samples)[0] if len(samples) >= 15_600 else None


@pytest.mark.parametrize("seed", range(SEEDS))
def test_random_changes(tmp_path, seed):
    changes = RandomChanges(tmp_path, seed)
    for _ in range(CHANGES):
        changes.change()
    changes.run_to_the_end()
    changes.wait_for_orphans()
