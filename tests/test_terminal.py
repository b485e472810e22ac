"""What a person sees on the terminal: few lines, warnings, and why a run failed at the end."""

import os
import pty
import re
import signal
import subprocess
import time
from collections import Counter
from typing import NamedTuple

import pytest
from wavs import make_dataset
from wavspec.dataset import Clip, Dataset
from wavspec.run.failures import NAMED, describe
from wavspec.run.job import DONE, STOPPED
from wavspec.run.plan import surprises
from wavspec.run.progress import Progress
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
        catalog = person.catalog(label)
        # Of the same size, or the catalogs would be made again.
        catalog.write_text(catalog.read_text().replace("0.wav", "9.wav"))
    no, yes = (
        f"results/logs/spectrograms/{person.catalog(label).stem}.log" for label in ("no", "yes")
    )
    end = " ".join(Terminal(person).lines()[-7:])
    assert end.startswith("2 failed:")
    assert re.search(f"spectrograms no +cause: .*run again +log: +{no}", end)
    assert re.search(f"spectrograms yes +cause: .*run again +log: +{yes}$", end)


def test_ctrl_c_leaves_no_traceback(tmp_path):
    person = of_a_person(tmp_path, clips=100)
    terminal = Terminal(person)
    wait_until(lambda: list(person.results.glob("chunks/*.npy")))
    os.killpg(terminal.process.pid, signal.SIGINT)
    lines = terminal.lines()
    assert lines[-1] == "Stopped. What is done stays done: run again to continue."
    assert "Traceback" not in "\n".join(lines)
    assert len(lines) <= 40


FAILURE = """\
Error in rule {rule}:
    message: None
    jobid: 3
    log: {log} (check log file(s) for error details)
    shell:
        (command exited with non-zero exit code)

"""


def described(folder, failures):
    """Return what is said at the end of a run in which these (rule, log) failed."""
    snakemake_log = folder / "snakemake.log"
    snakemake_log.write_text("".join(FAILURE.format(rule=rule, log=log) for rule, log in failures))
    return describe(snakemake_log)


LOGS = {
    "plain": (
        b"12 valid\nnames in the dataset to change, 2:\n  'a'\n  'b'\n",
        "names in the dataset to change, 2:\n  'a'\n  'b'",
    ),
    "traceback": (
        b"Traceback (most recent call last):\n  File ...\nZeroDivisionError: zero\n",
        "ZeroDivisionError: zero",
    ),
    "not UTF-8": (b"cannot read caf\xe9.wav\n", "cannot read caf\\xe9.wav"),
    "indented": (b"  File ...\n    of a traceback\n", "the log does not say: killed"),
    "null bytes": (b"\0" * 100, "\0"),
    "empty": (b"", "the log does not say: killed"),
}


@pytest.mark.parametrize(("content", "cause"), LOGS.values(), ids=LOGS)
def test_the_cause_of_a_failure_is_the_end_of_its_log(tmp_path, content, cause):
    log = tmp_path / "some.log"
    log.write_bytes(content)
    head, said, where = re.fullmatch(
        r"(.*)\n  cause: (.*)\n  log:   (.*)", described(tmp_path, [("some", log)]), re.DOTALL
    ).groups()
    assert head == "1 failed:\nsome" and said.startswith(cause) and where == str(log)


def test_a_job_without_a_log_was_killed(tmp_path):
    words = described(tmp_path, [("some", tmp_path / "no folder" / "some.log")])
    assert "cause: the log does not say: killed, or no room to write it" in words


def test_failures_are_told_once_and_few(tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(NAMED + 3)]
    for log in logs:
        log.write_text("no room\n")
    failures = [("some", log) for log in logs]
    assert described(tmp_path, failures).endswith("and 3 more")
    for end in (DONE, STOPPED):  # in the second attempt, and by the user
        logs[0].write_text(f"{end}\n")
        assert described(tmp_path, failures[:2] * 2).startswith("1 failed:")
        assert described(tmp_path, failures[:1]).startswith("Stopped.")


def test_rules_of_a_workflow_that_uses_this_one(tmp_path):
    """There, the names of the rules have a prefix, and rules that are not ours may fail."""
    label = tmp_path / "logs" / "spectrograms" / "no.0123456789ab.log"
    label.parent.mkdir(parents=True)
    for log in (label, tmp_path / "count.log"):
        log.write_text("")
    words = described(tmp_path, [("words_spectrograms", label), ("count", tmp_path / "count.log")])
    assert words.count("the log does not say") == 2
    assert "words_spectrograms no\n" in words and "count\n" in words


def test_progress_tells_the_rest(monkeypatch, capsys):
    clock = iter([0.0, 10.0, 30.0, 30.0, 40.0, 40.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(clock))
    progress = Progress(4000)
    for clips in (1000, 2000, 1000):
        progress.add(clips, "embedded")
    lines = [line.partition(" ")[2] for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "3,000 of 4,000 clips embedded, 100 clips/s, 0 min 10 s left",
        "4,000 of 4,000 clips embedded, 100 clips/s, 0 min 0 s left",
    ]


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
