"""What a person sees on the terminal: few lines, warnings, and why a run failed at the end."""

import os
import pty
import re
import signal
import subprocess
from collections import Counter
from typing import NamedTuple

import pytest
from wavs import make_dataset
from wavspec.dataset import Clip, Dataset
from wavspec.run.failures import NAMED, describe
from wavspec.run.plan import surprises
from workflow import ROOT, Workflow, wait_until

PROFILE = "profiles/default/config.yaml"


def of_a_person(folder, labels=("go", "no", "yes"), clips=1):
    """The workflow as a person has it, with the progress bar."""
    workflow = Workflow(folder / "project", make_dataset(folder / "dataset", labels, clips))
    (workflow.folder / PROFILE).write_bytes((ROOT / PROFILE).read_bytes())
    return workflow


class Terminal:
    """A run of Snakemake on a terminal of 110 columns."""

    def __init__(self, workflow, *arguments):
        ours, its = pty.openpty()
        self.output = ours
        self.process = subprocess.Popen(
            workflow.command(*arguments),
            cwd=workflow.folder,
            env={**os.environ, "COLUMNS": "110", "LINES": "50", "TERM": "xterm"},
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)

    def lines(self):
        """The lines that stand on the terminal when the run has ended."""
        written = b""
        while True:
            try:
                written += os.read(self.output, 2**16)
            except OSError:  # the last process that could write is gone
                break
        os.close(self.output)
        self.process.wait()
        lines = [""]
        # The bar moves the cursor up, and writes over what it wrote before.
        for part in re.split(r"(\x1b\[1A|\n)", written.decode()):
            if part == "\n":
                lines.append("")
            elif part == "\x1b[1A":
                lines = [*lines[:-2], ""]
            else:
                lines[-1] += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]|\r", "", part)
        return [line.rstrip() for line in lines if line.strip()]


def test_a_run_of_30_labels_takes_40_lines_at_most(tmp_path):
    person = of_a_person(tmp_path, [f"word{number:02d}" for number in range(30)])
    lines = Terminal(person).lines()
    assert "30 clips in 30 labels: 30 valid, 0 invalid" in lines
    assert len(lines) <= 40

    nothing_to_do = Terminal(person).lines()
    assert "All 30 labels are computed. The results lie in results" in nothing_to_do
    assert len(nothing_to_do) <= 10

    (person.dataset / "word07" / "0.wav").unlink()
    (person.dataset / "word07" / "1.wav").write_bytes(b"")
    to_a_file = person.snakemake().stdout.splitlines()
    assert "1 of 30 labels to compute: word07 (clips: 1 new, 1 gone)" in to_a_file
    assert len(to_a_file) <= 40 and not any("\x1b" in line for line in to_a_file)


def test_a_failed_run_ends_with_rule_label_cause_and_log(tmp_path):
    person = of_a_person(tmp_path)
    person.snakemake("catalog")
    for label in ("no", "yes"):
        with person.catalog(label).open("a") as catalog:
            catalog.write("not,the,clips\n")
    no, yes = (
        f"results/logs/spectrograms/{person.catalog(label).stem}.log" for label in ("no", "yes")
    )
    end = " ".join(Terminal(person).lines()[-10:])
    assert end.startswith("3 failed:")
    assert re.search(f"spectrograms no +cause: .*run again +log: +{no}", end)
    assert re.search(f"spectrograms yes +cause: .*run again +log: +{yes}", end)
    assert re.search("split +cause: .*run again +log: +results/logs/split.log$", end)


def test_ctrl_c_leaves_no_traceback(tmp_path):
    person = of_a_person(tmp_path, clips=100)
    terminal = Terminal(person)
    wait_until(lambda: list(person.results.glob("chunks/*.npy")))
    os.killpg(terminal.process.pid, signal.SIGINT)
    lines = terminal.lines()
    assert lines[-1] == "Stopped. What is done stays done."
    assert "Traceback" not in "\n".join(lines)
    assert len(lines) <= 40


def test_causes_of_failures(tmp_path):
    logs = {
        "plain": "12 valid\nnames in the dataset to change, 2:\n  'a'\n  'b'\n",
        "traceback": "Traceback (most recent call last):\n  File ...\nZeroDivisionError: zero\n",
        "killed": "",
    }
    for name, text in logs.items():
        (tmp_path / name).write_text(text)
    failures = [("spectrograms", name, tmp_path / name) for name in (*logs, "missing")]
    lines = describe(failures).splitlines()
    assert lines[0] == "4 failed:"
    assert lines[2:5] == ["  cause: names in the dataset to change, 2:", "  'a'", "  'b'"]
    assert "  cause: ZeroDivisionError: zero" in lines
    assert sum("the log does not say: killed" in line for line in lines) == 2
    assert describe(failures[:1] * (NAMED + 3)).endswith("and 3 more")


class Label(NamedTuple):
    digest: str
    clips: int


def surprises_of(results, labels=("no", "yes"), clips=1, other_audio=()):
    dataset = Dataset(
        {label: [Clip(f"{label}/0.wav", 1, 1)] for label in labels}, Counter(other_audio)
    )
    found = {label: Label("0123456789ab", clips) for label in labels}
    return [*surprises("/data/words", dataset, found, results)]


def test_what_is_as_it_should_be_is_no_surprise(tmp_path):
    assert surprises_of(tmp_path / "not yet there") == []
    (tmp_path / "wavfile_df.csv").write_text(
        ",file_name,label,valid\n0,/data/words/no/0.wav,no,True\n"
    )
    assert surprises_of(tmp_path) == []


@pytest.mark.parametrize("table", ["", ",file_name,label,valid\n", "\0\n\0", "a\nb\n"])
def test_a_table_that_is_none_is_no_surprise(tmp_path, table):
    (tmp_path / "wavfile_df.csv").write_text(table)
    assert surprises_of(tmp_path) == []


def test_surprises(tmp_path):
    [line] = surprises_of(tmp_path, other_audio={".flac": 5, ".mp3": 2})
    assert line.endswith("not taken: 5 .flac, 2 .mp3")
    [line] = surprises_of(tmp_path, labels=["yes"])
    assert "'yes'" in line
    [line] = surprises_of(tmp_path, clips=10**12)
    assert f"{2 * 2 * 10**12 * 49_152:,}" in line
    (tmp_path / "wavfile_df.csv").write_text(
        ",file_name,label,valid\n0,/data/words2/a.wav,no,True\n"
    )
    [line] = surprises_of(tmp_path)
    assert "/data/words2/a.wav" in line and "results=" in line


def test_surprises_are_said_before_a_run(built):
    built.dataset = make_dataset(built.folder / "other", labels=["no", "up"])
    (built.dataset / "no" / "0.flac").write_bytes(b"")
    files = built.files()
    output = built.snakemake("--dry-run").stdout
    assert "Warning: audio files that are not .wav are not taken: 1 .flac" in output
    assert "Warning: " in output and "results=ANOTHER_FOLDER" in output
    assert built.files() == files
