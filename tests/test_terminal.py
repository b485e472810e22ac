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

import pyte
import pytest
from pipeline.failures import NAMED, describe
from pipeline.job import DONE, ERROR, STOPPED
from wavs import make_dataset
from wavspec.summary import loading_lines
from workflow import ROOT, Workflow, run, wait_until

PROFILE = "profiles/default/config.yaml"
COLUMNS, ROWS = 80, 24

# A slow stage instead of the training, which prints like TensorFlow.
LONG_STAGE = """\
import os
import time
from pathlib import Path

from pipeline.job import job, summarize, warn

if "snakemake" in globals():
    with job(snakemake) as outputs:
        for epoch in range(1, 40):
            os.system("echo E0000 failed call to cuInit >&2")
            print(f"epoch {epoch}", flush=True)
            time.sleep(0.02)
        while Path("hold").exists():
            time.sleep(0.02)
        warn("labels left out: _background_noise_")
        summarize("accuracy 69.4 % on 36 testing clips")
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
    last = squeezed(after("Elapsed time", lines))
    assert last.startswith(squeezed(summary[:1])) and squeezed(summary[1:2]) in last
    # After the lines of a stage that somebody adds.
    assert last.endswith(squeezed(summary[2:]))
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
    (person.folder / "workflow_scripts" / "train.py").write_text(LONG_STAGE)
    person.snakemake()
    hold = person.folder / "hold"
    hold.touch()
    terminal = Terminal(person, "train")
    follow = "To follow train in another terminal: tail -F results/logs/train.log"
    terminal.read_until(follow)
    log = person.results / "logs" / "train.log"
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
    lines = [line for line in person.snakemake(check=False).stdout.splitlines() if line]
    cause = f"{NO_MESSAGE}. The last line of its log: a fault of the machine"
    no, yes = (
        f"results/logs/spectrograms/{person.catalog(label).stem}.log" for label in ("no", "yes")
    )
    end = after("At least one job", lines)
    assert end[0].startswith("Warning: audio files")
    assert end[-7:] == [
        "2 failed:",
        "spectrograms no",
        f"  cause: {cause}",
        f"  log:   {no}",
        "spectrograms yes",
        f"  cause: {cause}",
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


FAILURE = """\
Error in rule {rule}:
    message: None
    jobid: 3
    log: {log} (check log file(s) for error details)
    shell:
        (command exited with non-zero exit code)

"""


def described(folder, failures, more="", stderr=""):
    """Return the message at the end of a run in which these (rule, log) failed."""
    snakemake_log, stderr_log = folder / "snakemake.log", folder / "stderr.log"
    entries = (FAILURE.format(rule=rule, log=log) for rule, log in failures)
    snakemake_log.write_text("".join(entries) + more)
    stderr_log.write_text(stderr)
    return describe(snakemake_log, stderr_log)


NO_MESSAGE = "the job ended without an error message"
LOGS = {
    "plain": (
        b"12 valid\nError: names in the dataset to change (2):\n  'a'\n  'b'\n",
        "names in the dataset to change (2):\n  'a'\n  'b'",
    ),
    "traceback": (
        b"Error: Traceback (most recent call last):\n  File ...\nZeroDivisionError: zero\n",
        "ZeroDivisionError: zero",
    ),
    "import": (b"Traceback ...\n  File ...\nImportError: libfoo.so\n", "ImportError: libfoo.so"),
    "not UTF-8": (b"Error: cannot read caf\xe9.wav\n", "cannot read caf\\xe9.wav"),
    "progress": (b"epoch 3 of 40\n", f"{NO_MESSAGE}. The last line of its log: epoch 3 of 40"),
    "null bytes": (b"\0" * 100, f"{NO_MESSAGE}. The last line of its log: \0"),
    "empty": (b"", NO_MESSAGE),
}


@pytest.mark.parametrize(("content", "cause"), LOGS.values(), ids=LOGS)
def test_the_cause_of_a_failure_is_the_error_in_its_log(tmp_path, content, cause):
    log = tmp_path / "some.log"
    log.write_bytes(content)
    head, found, where = re.fullmatch(
        r"(.*)\n  cause: (.*)\n  log:   (.*)", described(tmp_path, [("some", log)]), re.DOTALL
    ).groups()
    assert head == "1 failed:\nsome" and found.startswith(cause)
    assert where == str(log if content else tmp_path / "stderr.log")


STDERR = """\
Traceback (most recent call last):
  File "/x/.snakemake/scripts/tmp1.tables.py", line 9, in <module>
ImportError: libfoo.so
  File "/x/.snakemake/scripts/tmp2.pictures.py", line 9
    if
SyntaxError: invalid syntax
"""


def test_errors_of_scripts_without_a_log_are_not_mixed_up(tmp_path):
    failures = [("words_tables", "no 1"), ("pictures", "no 2"), ("embeddings", "no 3")]
    message = described(tmp_path, failures, stderr=STDERR)
    assert dict(re.findall(r"^(\w+)\n  cause: (.*)$", message, re.MULTILINE)) == {
        "words_tables": "ImportError: libfoo.so",
        "pictures": "SyntaxError: invalid syntax",
        "embeddings": NO_MESSAGE,
    }


def test_failures_are_told_once_and_few(tmp_path):
    logs = [tmp_path / f"{number}.log" for number in range(NAMED + 3)]
    for log in logs:
        log.write_text("Error: no room\n")
    failures = [("some", log) for log in logs]
    assert described(tmp_path, failures).endswith("and 3 more")
    for end in (DONE, ERROR + STOPPED):  # in the second attempt, and by the user
        logs[0].write_text(f"{end}\n")
        assert described(tmp_path, failures[:2] * 2).startswith("1 failed:")
    stopped = "Terminating processes on user request, this might take some time.\n"
    assert described(tmp_path, failures[:1], stopped).startswith("Stopped.")
    assert described(tmp_path, [("some", "not started")], stopped).startswith("Stopped.")
    assert described(tmp_path, [], "MissingInputException:\nno such file\n").startswith(
        "The run failed. Snakemake's last lines:\nMissingInputException:\nno such file\n"
    )


def prepend(file, text):
    file.write_text(text + file.read_text())


def no_such_module(workflow):
    prepend(workflow.folder / "workflow_scripts" / "tables.py", "import no_such_module\n")


def missing_colon(workflow):
    prepend(workflow.folder / "workflow_scripts" / "tables.py", "if True\n    pass\n")


def rule_without_a_log(workflow):
    rule = workflow.folder / "rules" / "tables.smk"
    text = re.sub(r"    log:\n.*\n", "", rule.read_text())
    rule.write_text(re.sub(r"    script:\n.*\n", '    shell:\n        "exit 3"\n', text))


def missing_output(workflow):
    rule = workflow.folder / "rules" / "tables.smk"
    rule.write_text(re.sub(r"    script:\n.*\n", '    shell:\n        "true"\n', rule.read_text()))


FAULTS = {
    no_such_module: "1 failed:\ntables\n  cause: ModuleNotFoundError: No module named 'no_",
    missing_colon: "1 failed:\ntables\n  cause: SyntaxError: expected ':'",
    rule_without_a_log: f"1 failed:\ntables\n  cause: {NO_MESSAGE}",
    missing_output: "last lines:\nMissingOutputException in rule tables in file",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_the_last_lines_say_what_is_known(built, fault):
    fault(built)
    process = built.snakemake("-R", "tables", check=False)
    assert process.returncode == 1 and FAULTS[fault] in process.stdout, process.stdout


def test_another_working_directory(built):
    (built.folder / "elsewhere").mkdir()
    command = built.command("--directory", "elsewhere", dataset="../../dataset", results="found")
    process = run(command, built.folder, os.environ)
    assert "\nTo load them" in process.stdout, process.stdout
    no_such_module(built)
    process = run([*command[:-1], "results=again"], built.folder, os.environ)
    assert "1 failed:\ntables\n  cause: ModuleNotFoundError" in process.stdout


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
    code = "import sys; from pipeline.failures import describe; print(describe(*2 * sys.argv[1:]))"
    process = subprocess.run(
        [sys.executable, "-c", code, snakemake_log],
        cwd=ROOT / "workflow_scripts",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert process.stdout.startswith("The run failed."), process.stderr
