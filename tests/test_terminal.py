"""The terminal: few lines, warnings last, and the cause of a failure at the end."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pyte
import pytest
from wavs import make_dataset
from pipeline.failures import NAMED, describe
from pipeline.job import DONE, STOPPED
from pipeline.progress import Progress
from wavspec.summary import loading_lines
from workflow import ROOT, Workflow, wait_until

PROFILE = "profiles/default/config.yaml"
COLUMNS, ROWS = 80, 24

# A slow stage instead of the classifier, which prints like TensorFlow.
LONG_STAGE = """\
import os
import time
from pathlib import Path

from pipeline.job import closing, job, warn

if "snakemake" in globals():
    with job(snakemake) as outputs:
        for epoch in range(1, 40):
            os.system("echo E0000 failed call to cuInit >&2")
            print(f"epoch {epoch}", flush=True)
            time.sleep(0.02)
        while Path("hold").exists():
            time.sleep(0.02)
        warn("labels left out: _background_noise_")
        closing("accuracy 69.4 % on 36 testing clips")
        for output in vars(outputs).values():
            for path in output if isinstance(output, list) else [output]:
                Path(path).write_text("whatever it makes")
"""


def of_a_person(folder, labels=("go", "no", "yes"), clips=1):
    """The workflow with the progress bar, as for a user."""
    workflow = Workflow(folder / "project", make_dataset(folder / "dataset", labels, clips))
    (workflow.folder / PROFILE).write_bytes((ROOT / PROFILE).read_bytes())
    return workflow


class Terminal:
    """A run of Snakemake on a terminal of 80 columns and 24 rows."""

    def __init__(self, workflow, *arguments):
        self.screen = pyte.HistoryScreen(COLUMNS, ROWS, history=10_000)
        self.stream = pyte.ByteStream(self.screen)
        self.output, its = pty.openpty()
        fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        environment = {**os.environ, "TERM": "xterm-256color"}
        for name in ("COLUMNS", "LINES"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            workflow.command(*arguments),
            cwd=workflow.folder,
            env=environment,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
        )
        os.close(its)

    def lines(self):
        """The lines in the scrollback and on the screen now, without blank ones."""
        above = ["".join(line[column].data for column in range(COLUMNS)) for line in self.history()]
        return [line.rstrip() for line in (*above, *self.screen.display) if line.strip()]

    def history(self):
        return self.screen.history.top

    def read(self):
        """Show new output of the run; return whether it can write more."""
        try:
            self.stream.feed(os.read(self.output, 2**16))
        except OSError:  # the last process that could write is gone
            return False
        return True

    def read_until(self, text, seconds=60):
        deadline = time.monotonic() + seconds
        while text not in "\n".join(self.lines()):
            assert self.read() and time.monotonic() < deadline, self.lines()

    def last_lines(self):
        """The lines on the terminal at the end of the run."""
        while self.read():
            pass
        os.close(self.output)
        self.process.wait()
        return self.lines()


def squeezed(lines):
    """Lines as one text without whitespace, as the terminal breaks long ones anywhere."""
    return re.sub(r"\s", "", "".join(lines))


def after(line, lines):
    """The lines below the last one that begins with `line`."""
    [*_, place] = [number for number, text in enumerate(lines) if text.startswith(line)]
    return lines[place + 1 :]


def run_in_a_pipe(workflow):
    return workflow.snakemake().stdout.splitlines()


def run_in_a_terminal(workflow):
    return Terminal(workflow).last_lines()


@pytest.mark.parametrize("bar", [True, False], ids=["bar", "no bar"])
@pytest.mark.parametrize("run", [run_in_a_pipe, run_in_a_terminal])
def test_warnings_and_the_summary_are_the_last_words(tmp_path, run, bar):
    person = of_a_person(tmp_path, ["go", "yes"])
    if not bar:
        profile = person.folder / PROFILE
        profile.write_text(profile.read_text().replace("\nlogger: rich\n", "\n"))
    person.results = tmp_path / "a folder whose name is so long that no line of 80 has room for it"
    (person.dataset / "yes" / "0.flac").write_bytes(b"")
    lines = run(person)
    summary = (person.results / "summary.txt").read_text().splitlines()
    # From the reading of the Snakefile, and from a job.
    assert (
        summary[0].startswith("Warning: audio files that path_pattern") and "0.flac" in summary[0]
    )
    assert summary[1].startswith("Warning: 2 of 2 clips") and "_nohash_" in summary[1]
    assert summary[2].startswith("2 clips in 2 labels: 2 valid")
    assert squeezed(after("Elapsed time", lines)) == squeezed(summary)
    assert "Workflow Progress" not in "\n".join(lines)


def test_lines_that_load_the_results_are_not_broken_in_a_pipe(tmp_path):
    person = of_a_person(tmp_path)
    person.results = tmp_path / "a folder whose name is so long that no line of 80 has room for it"
    lines = [line for line in run_in_a_pipe(person) if line]
    loading = loading_lines(person.relative(person.results)).splitlines()
    assert [line.strip() for line in lines[-len(loading) :]] == loading


def test_a_run_of_30_labels_takes_few_lines(tmp_path):
    person = of_a_person(tmp_path, [f"word{number:02d}" for number in range(30)])
    lines = run_in_a_terminal(person)
    assert "30 clips in 30 labels: 30 valid, 0 invalid" in lines
    assert len(lines) <= 45

    nothing_to_do = run_in_a_terminal(person)
    assert "All 30 labels are up to date." in "\n".join(nothing_to_do)
    assert len(nothing_to_do) <= 10

    (person.dataset / "word07" / "0.wav").unlink()
    (person.dataset / "word07" / "1.wav").write_bytes(b"")
    # A label without valid clips does not make the run fail.
    to_a_file = run_in_a_pipe(person)
    assert "1 of 30 labels to compute: word07 (clips: 1 new, 1 gone)" in to_a_file
    assert len(to_a_file) <= 40 and not any("\x1b" in line for line in to_a_file)


def test_a_later_stage_says_where_to_follow_it_and_has_the_last_words(tmp_path):
    person = of_a_person(tmp_path)
    (person.folder / "workflow_scripts" / "classifier.py").write_text(LONG_STAGE)
    person.snakemake()
    hold = person.folder / "hold"
    hold.touch()
    terminal = Terminal(person, "classifier")
    follow = "To follow classifier in another terminal: tail -F results/logs/classifier.log"
    terminal.read_until(follow)
    log = person.results / "logs" / "classifier.log"
    wait_until(lambda: log.exists() and "epoch 39" in log.read_text())
    terminal.read_until("Workflow Progress")
    hold.unlink()
    lines = terminal.last_lines()
    assert squeezed(lines).count(squeezed([follow])) == 1
    assert after("Elapsed time", lines) == [
        "Warning: labels left out: _background_noise_",
        "accuracy 69.4 % on 36 testing clips",
    ]
    text = "\n".join(lines)
    assert "cuInit" not in text and "epoch" not in text and "Workflow Progress" not in text
    assert "failed call to cuInit" in log.read_text()
    assert "To follow" not in "".join(run_in_a_terminal(person))


def test_a_failed_run_ends_with_rule_label_cause_and_log(tmp_path):
    person = of_a_person(tmp_path)
    (person.dataset / "yes" / "0.flac").write_bytes(b"")
    script = person.folder / "workflow_scripts" / "spectrograms.py"
    fault = "import sys\nif '/go.' not in sys.argv[4]: sys.exit('a fault of the machine')\n"
    script.write_text(fault + script.read_text())
    lines = run_in_a_terminal(person)
    no, yes = (
        f"results/logs/spectrograms/{person.catalog(label).stem}.log" for label in ("no", "yes")
    )
    end = after("At least one job", lines)
    assert end[0].startswith("Warning: audio files")
    assert end[-7:] == [
        "2 failed:",
        "spectrograms no",
        "  cause: a fault of the machine",
        f"  log:   {no}",
        "spectrograms yes",
        "  cause: a fault of the machine",
        f"  log:   {yes}",
    ]


def test_ctrl_c_leaves_no_traceback(tmp_path):
    person = of_a_person(tmp_path, clips=400)
    terminal = Terminal(person)
    wait_until(lambda: list(person.results.glob("logs/spectrograms/*.log")))
    os.killpg(terminal.process.pid, signal.SIGINT)
    lines = terminal.last_lines()
    assert lines[-1] == "Stopped. Finished steps are kept: run again to continue."
    assert "Traceback" not in "\n".join(lines)


def snakemakes_log(folder, failed):
    """Write what Snakemake logs of failed jobs of the rule spectrograms; return the file."""
    blocks = [
        f"Error in rule spectrograms:\n    jobid: 1\n    log: {log} (check log file(s) for error "
        "details)\n"
        for log in failed
    ]
    path = folder / "snakemake.log"
    path.write_text("\n".join(blocks))
    return path


FAILURE = """\
Error in rule {rule}:
    message: None
    jobid: 3
    log: {log} (check log file(s) for error details)
    shell:
        (command exited with non-zero exit code)

"""


def described(folder, failures):
    """Return the message at the end of a run in which these (rule, log) failed."""
    snakemake_log = folder / "snakemake.log"
    snakemake_log.write_text("".join(FAILURE.format(rule=rule, log=log) for rule, log in failures))
    return describe(snakemake_log)


LOGS = {
    "plain": (
        b"12 valid\nnames in the dataset to change (2):\n  'a'\n  'b'\n",
        "names in the dataset to change (2):\n  'a'\n  'b'",
    ),
    "traceback": (
        b"Traceback (most recent call last):\n  File ...\nZeroDivisionError: zero\n",
        "ZeroDivisionError: zero",
    ),
    "not UTF-8": (b"cannot read caf\xe9.wav\n", "cannot read caf\\xe9.wav"),
    "indented": (b"  File ...\n    of a traceback\n", "no error in the log: the job was killed"),
    "null bytes": (b"\0" * 100, "\0"),
    "empty": (b"", "no error in the log: the job was killed"),
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
    assert "cause: no error in the log: the job was killed, usually out of memory, or" in words


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
    """In such a workflow, rule names have a prefix, and other rules can fail."""
    label = tmp_path / "logs" / "spectrograms" / "no.0123456789ab.log"
    label.parent.mkdir(parents=True)
    for log in (label, tmp_path / "count.log"):
        log.write_text("")
    words = described(tmp_path, [("words_spectrograms", label), ("count", tmp_path / "count.log")])
    assert words.count("no error in the log") == 2
    assert "words_spectrograms no\n" in words and "count\n" in words


GROUP = (
    """\
[Thu Nov 26 09:54:08 2026] Group job labels (jobs in lexicogr. order):

"""
    + 9
    * """\
    [Thu Nov 26 09:54:08 2026]
    rule spectrograms:
        input: results/catalog/one.de8bd68cb04f.csv
        output: results/chunks/one.de8bd68cb04f.npy, results/chunks/one.de8bd68cb04f.csv
        log: results/logs/spectrograms/one.de8bd68cb04f.log
        jobid: 3
        wildcards: label=one, digest=de8bd68cb04f
        resources: tmpdir=<TBD>, mem_mb=1000
"""
)


def test_the_log_of_a_large_group_of_jobs_is_read_in_no_time(tmp_path):
    snakemake_log = tmp_path / "snakemake.log"
    snakemake_log.write_text(GROUP)
    code = "import sys; from pipeline.failures import describe; print(describe(sys.argv[1]))"
    process = subprocess.run(
        [sys.executable, "-c", code, snakemake_log],
        cwd=ROOT / "workflow_scripts",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stdout.startswith("Stopped."), process.stderr


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


def test_a_job_that_ctrl_c_reached_before_it_began_is_no_failure(tmp_path):
    (tmp_path / "logs" / "spectrograms").mkdir(parents=True)
    log = snakemakes_log(tmp_path, [tmp_path / "logs" / "spectrograms" / "missing"])
    assert describe(log).startswith("1 failed:")
    with log.open("a") as file:
        file.write("Terminating processes on user request, this might take some time.\n")
    assert describe(log).startswith("Stopped.")


def test_only_as_many_failures_as_fit_are_named(tmp_path):
    failed = [tmp_path / str(number) for number in range(NAMED + 3)]
    for log in failed:
        Path(log).write_text("no room\n")
    assert describe(snakemakes_log(tmp_path, failed)).endswith("and 3 more")
