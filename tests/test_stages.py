"""Stages: how to add one, the code that it depends on, and the repair of damaged outputs."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from wavs import make_dataset, write_wav
from pipeline import provenance
from wavspec.errors import WavspecError
from pipeline.stamps import Stamp, stamps_of
from workflow import ROOT, Workflow

SCRIPTS = ROOT / "workflow_scripts"
STAGES = sorted(script.stem for script in SCRIPTS.glob("*.py"))
EVERY_RUN = {
    rules.stem
    for rules in (ROOT / "rules").glob("*.smk")
    if 'stamp("' in (text := rules.read_text()) and "on_demand=True" not in text
}


@pytest.fixture
def built(built):
    built.stages = {*built.stages, *EVERY_RUN}
    return built


# A new stage

ADDED = "added_by_a_test"  # a name that no real stage has
MEANS_SCRIPT = '''\
"""The mean length of each label's clips, in seconds, to a CSV file."""

import pandas as pd
from wavspec.rows import rows_of
from pipeline.job import closing, job


def write_means(rows, means):
    clips = rows[rows["example"] == "0"]
    seconds = pd.to_numeric(clips["samples"]) / pd.to_numeric(clips["sample_rate"])
    seconds.groupby(clips["label"]).mean().rename("seconds").to_csv(means)


if "snakemake" in globals():
    with job(snakemake) as outputs:
        write_means(rows_of(snakemake), outputs.means)
        closing(f"The mean lengths are in {snakemake.output.means}")
'''
MEANS_RULE = """\
rule added_by_a_test:
    input:
        tables=ALL_TABLES,
    output:
        means="<results>/added_by_a_test.csv",
        stamp=stamp("added_by_a_test", DIGESTS),
    log:
        "<results>/logs/added_by_a_test.log",
    script:
        "../workflow_scripts/added_by_a_test.py"
"""


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def empty(path):
    os.truncate(path, 0)


def append_rubbish(path):
    with path.open("ab") as file:
        file.write(b'0,"\n')


DAMAGES = [os.remove, cut, empty, append_rubbish]


def test_a_stage_is_a_script_a_rule_and_an_include(built):
    write_wav(built.dataset / "no" / "0.wav", samples=20_000)
    built.snakemake()
    before = built.files()
    (built.folder / "workflow_scripts" / f"{ADDED}.py").write_text(MEANS_SCRIPT)
    (built.folder / "rules" / f"{ADDED}.smk").write_text(MEANS_RULE)
    snakefile = built.folder / "Snakefile"
    include = 'include: "rules/tables.smk"\n'
    snakefile.write_text(
        snakefile.read_text().replace(include, f'{include}include: "rules/{ADDED}.smk"\n')
    )
    built.stages = {*built.stages, ADDED}
    assert built.run() == {ADDED}
    means = built.results / f"{ADDED}.csv"
    right = means.read_text()
    assert right == "label,seconds\ngo,1.0\nno,1.125\nyes,1.0\n"
    new = {path.name.partition(".")[0] for path in built.files().keys() - before.keys()}
    assert new == {ADDED} and before.items() <= built.files().items()

    for damage in DAMAGES:
        damage(means)
        assert built.run() == {ADDED}, damage
        assert means.read_text() == right
    assert (
        "The mean lengths are in results/added_by_a_test.csv" in built.snakemake("-R", ADDED).stdout
    )


# The code of a stage


def imported_by(path, scripts):
    """Yield the full names of the modules, and of names in modules, that a file may import."""
    package = path.parent.relative_to(scripts).parts
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def walk(stage, scripts=SCRIPTS):
    """Return the files that a stage's script imports, including itself, and all other names."""
    files, others, waiting = set(), set(), [scripts / f"{stage}.py"]
    while waiting:
        path = waiting.pop()
        if path not in files and path.parent != scripts / "wavspec" / "run":
            files.add(path)
            for name in imported_by(path, scripts):
                module = scripts.joinpath(*name.split(".")).with_suffix(".py")
                if module.is_file():
                    waiting.append(module)
                else:
                    others.add(name.partition(".")[0])
    return files, others


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_a_stage_is_what_its_script_imports(stage):
    files, others = code.code_of(stage)
    expected_files, expected_others = walk(stage)
    assert len(files) == len(set(files)) and set(files) == expected_files
    assert others & code.pins().keys() == expected_others & code.pins().keys()


ODD_IMPORTS = {
    "odd.py": """\
import os, wavspec.a
import numpy as np, pandas as pd
from wavspec import (
    b,  # (the second
    c as other,
)

def later():
    if os:
        from wavspec.d import (
            f, g)
    from pipeline.job import job
    import soundfile.more  # and no more
""",
    "wavspec/a.py": "from . import e\nfrom .f import (name)\n",
    "wavspec/b.py": "from .run import job\nfrom .errors import WavspecError\n",
    "wavspec/c.py": "from matplotlib import pyplot\n",
    "wavspec/d.py": "import odd\n",
    "wavspec/e.py": "from .a import name\n",
    "wavspec/f.py": "",
    "wavspec/not_imported.py": "import tensorflow\n",
    "wavspec/run/job.py": "from ..not_imported import name\n",
}


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """The module `code` for another folder of scripts."""

    def forget():
        for function in (code.code_of, code.imports_of, code.pins, code.made_by):
            function.cache_clear()

    monkeypatch.setattr(code, "SCRIPTS", tmp_path / "workflow_scripts")
    monkeypatch.setattr(code, "REQUIREMENTS", tmp_path / "requirements")
    forget()
    yield forget
    forget()


def test_imports_of_all_forms_are_found(fresh):
    for name, text in ODD_IMPORTS.items():
        (code.SCRIPTS / name).parent.mkdir(parents=True, exist_ok=True)
        (code.SCRIPTS / name).write_text(text)
    files, others = code.code_of("odd")
    found, expected_others = walk("odd", code.SCRIPTS)
    assert set(files) == found
    assert {str(path.relative_to(code.SCRIPTS)) for path in files} == {
        *("odd.py", "wavspec/a.py", "wavspec/b.py", "wavspec/c.py", "wavspec/d.py"),
        *("wavspec/e.py", "wavspec/f.py"),
    }
    packages = {"numpy", "pandas", "soundfile", "matplotlib"}
    assert packages <= others & expected_others and "tensorflow" not in others


@pytest.mark.parametrize("path", [*SCRIPTS.rglob("__init__.py")], ids=lambda path: path.parent.name)
def test_packages_hold_no_code_of_their_own(path):
    """No stage would depend on it."""
    assert [type(node) for node in ast.parse(path.read_text()).body] == [ast.Expr]


def test_a_change_in_a_file_counts_for_the_stages_that_import_it(fresh, tmp_path):
    for folder in ("workflow_scripts", "requirements", "envs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)

    def made_by():
        fresh()
        return {stage: code.made_by(stage) for stage in STAGES}

    def stages_due_after(path, change):
        before, text = made_by(), path.read_text()
        path.write_text(change(text))
        due = {stage for stage, now in made_by().items() if now != before[stage]}
        path.write_text(text)
        return due

    imports = {stage: walk(stage, code.SCRIPTS) for stage in STAGES}
    for path in code.SCRIPTS.rglob("*.py"):
        due = stages_due_after(path, lambda text: f"{text}# changed\n")
        assert due == {stage for stage in STAGES if path in imports[stage][0]}, path
        assert not (due and path.parent.name == "run")
    for path in (tmp_path / "envs").glob("*"):
        assert not stages_due_after(path, lambda text: f"{text}# changed\n")
    for name in ("run", "tensorflow"):
        path = tmp_path / "requirements" / f"{name}.in"
        assert not stages_due_after(path, lambda text: f"{text}# changed\n")
        for pin in re.findall("^.*==.*$", path.read_text(), re.MULTILINE):
            module = pin.partition("==")[0].replace("-", "_")
            due = stages_due_after(path, lambda text, pin=pin: text.replace(pin, f"{pin}1"))
            assert due == {stage for stage in STAGES if module in imports[stage][1]}, module
    before = made_by()
    (code.SCRIPTS / "new.py").write_text("import numpy\n")
    assert made_by() == before


# Installed packages


def test_a_package_in_another_version_than_pinned_ends_the_job(built):
    requirements = built.folder / "requirements" / "run.in"
    installed = re.search(r"^numpy==(.*)$", requirements.read_text(), re.MULTILINE)[1]
    requirements.write_text(requirements.read_text().replace(f"numpy=={installed}", "numpy==2.0.0"))
    process = built.snakemake(check=False)
    assert process.returncode == 1
    message = f"numpy {installed} is installed, 2.0.0 is pinned. Run `make clean`, then `make`."
    assert process.stdout.count(f"  cause: {message}\n") == 3  # labels
    assert not list(built.results.glob("chunks/.*"))


PINS = {
    "of another version": ("numpy==1.0\n", r"numpy [\d.]+ is installed, 1\.0 is pinned"),
    "missing": ("no_such_module==1.0\n", "no_such_module is not installed. Run `make clean`"),
    "without metadata": ("here==1.0\n", "here of unknown version is installed, 1.0 is pinned"),
    "a folder left over": ("left_over==1.0\n", "left_over is not installed"),
}


@pytest.mark.parametrize(("pin", "message"), PINS.values(), ids=PINS)
def test_what_is_installed_is_compared_with_the_pins(fresh, tmp_path, monkeypatch, pin, message):
    for folder in ("workflow_scripts", "requirements", "left_over"):
        (tmp_path / folder).mkdir()
    (tmp_path / "here.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    (code.REQUIREMENTS / "tensorflow.in").touch()
    (code.REQUIREMENTS / "run.in").write_text(pin)
    (code.SCRIPTS / "some.py").write_text(f"import numpy\nimport {pin.partition('==')[0]}\n")
    (code.SCRIPTS / "other.py").write_text("import os\n")
    with pytest.raises(WavspecError, match=message):
        code.check_installed("some")
    code.check_installed("other")


BROKEN = {
    "numpy": {"spectrograms go", "spectrograms no", "spectrograms yes"},
    "pandas": {"pictures", "tables"},
    "matplotlib": {"pictures"},
}


@pytest.mark.parametrize("package", BROKEN)
def test_a_package_that_cannot_be_imported_is_named(workflow, package):
    shadow = workflow.folder / "shadow"
    shadow.mkdir()
    (shadow / f"{package}.py").write_text("raise ImportError('libfoo.so: cannot open it')\n")
    workflow.environment = {**os.environ, "PYTHONPATH": str(shadow)}
    process = workflow.snakemake(check=False)
    assert process.returncode == 1
    words = re.findall(
        r"^(.+)\n  cause: ImportError: libfoo\.so: .* Run `make clean`, then `make`\.$",
        process.stdout,
        re.MULTILINE,
    )
    of_known_stages = {job for job in words if job.split()[0] in workflow.stages}
    assert of_known_stages == BROKEN[package], process.stdout
    workflow.environment = None
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()


def test_a_python_with_a_safe_path_finds_the_modules(workflow):
    workflow.environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    workflow.snakemake()
    assert workflow.outputs() == workflow.expected()


LOGGED = """\
import sys
from pipeline.provenance import check_installed
from pipeline.job import logged
with logged(sys.argv[1]):
    check_installed("pictures")
    print("猫 \\udce9")
    raise OSError("猫.wav")
"""


def test_a_log_takes_all_letters_in_any_locale(tmp_path):
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    script, log = tmp_path / "script.py", tmp_path / "log"
    script.write_text(LOGGED, encoding="utf-8")
    process = subprocess.run(
        [sys.executable, "-X", "warn_default_encoding", "-W", "error", script, log],
        env={**os.environ, **locale, "PYTHONPATH": str(SCRIPTS)},
    )
    assert process.returncode == 1
    assert log.read_text(encoding="utf-8") == "猫 \\udce9\n猫.wav\n"


# Damage


def outputs_of(workflow):
    """Return {stage: list of its output files} from the stamps."""
    outputs = {}
    for stamp in workflow.results.glob("stamps/*.json"):
        files = json.loads(stamp.read_text(encoding="utf-8"))["outputs"]
        outputs[stamp.name.partition(".")[0]] = [
            Path(os.path.normpath(stamp.parent / file)) for file in files
        ]
    return outputs


def content(files):
    return {file: file.read_bytes() for file in files}


def digest_of(workflow, stage):
    [stamp] = stamps_of(workflow.results, stage)
    return stamp.split(".")[1]


def test_every_damage_of_every_output_is_noticed(built):
    outputs = outputs_of(built)
    assert outputs.keys() == EVERY_RUN
    listed = {file for files in outputs.values() for file in files}
    # Those with digests in their names, which Snakemake misses by itself.
    chunks_and_logs = {*built.results.glob("c*/*")} | {*built.results.glob("logs/**/*")}
    stamps = {*built.results.glob("stamps/*"), built.results / "README.md"}
    assert {file for file in built.results.rglob("*") if file.is_file()} <= (
        listed | chunks_and_logs | stamps
    )
    for stage, files in outputs.items():
        digest = digest_of(built, stage)
        [stamp] = built.results.glob(f"stamps/{stage}.*")
        assert Stamp.of(built.results, stage, digest).damage == ""
        for file in [*files, stamp]:
            right = file.read_bytes()
            for damage in DAMAGES[file == stamp :]:
                damage(file)
                found = Stamp.of(built.results, stage, digest)
                assert found.damage == str(file) and not Path(found.path).exists(), (file, damage)
                file.write_bytes(right)


@pytest.mark.parametrize("number", range(len(DAMAGES)))
def test_one_run_makes_damaged_outputs_again(built, number):
    """A file of each stage, another one for each kind of damage."""
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    damaged = {stage: files[number % len(files)] for stage, files in outputs.items()}
    for file in damaged.values():
        DAMAGES[number](file)
    said = built.snakemake("--dry-run").stdout
    for stage, file in damaged.items():
        state = "not as the workflow wrote it" if file.exists() else "missing"
        line = f"{built.relative(file)} is {state}: {stage} will run again\n"
        assert said.count(line) == 1
    assert built.run() - {"spectrograms go", "spectrograms no", "spectrograms yes"} == EVERY_RUN
    assert content(right) == right
    assert built.run() == set()
    assert {stage: len(stamps_of(built.results, stage)) for stage in EVERY_RUN} == dict.fromkeys(
        EVERY_RUN, 1
    )


def copy_as_second(stamp):
    shutil.copy(stamp, stamp.with_name(stamp.name.replace(".json", ".2.json")))


def copy_as_older(stamp):
    shutil.copy(stamp, stamp.with_name(f"{stamp.name.split('.')[0]}.0123456789ab.json"))


def other_type(stamp):
    stamp.write_text('["outputs"]')


def not_utf_8(stamp):
    stamp.write_bytes(b"\xff" * 10)


DAMAGED_STAMPS = [cut, empty, append_rubbish, other_type, not_utf_8, copy_as_second, copy_as_older]


def test_one_run_makes_the_outputs_of_damaged_stamps_again(built):
    stages = ["concatenate", "pictures", "tables", "catalog", "concatenate", "tables", "pictures"]
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    for stage, damage in zip(stages[:4], DAMAGED_STAMPS, strict=False):
        [stamp] = built.results.glob(f"stamps/{stage}.*")
        damage(stamp)
    assert built.run() == set(stages[:4])
    for stage, damage in zip(stages[4:], DAMAGED_STAMPS[4:], strict=True):
        [stamp] = built.results.glob(f"stamps/{stage}.*")
        damage(stamp)
    assert built.run() == {"concatenate", "tables", "pictures"}
    assert content(right) == right
    assert built.run() == set()


def test_force_works_over_damage(built):
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    for file in (built.chunk("no"), built.chunk("go", ".csv"), built.catalog("yes")):
        cut(file)
    for files in outputs.values():
        append_rubbish(files[0])
    built.snakemake("--forceall")
    assert content(right) == right
    for rule in ("concatenate", "tables"):
        cut(outputs[rule][0])
        assert rule in built.run("--forcerun", rule)
        assert content(right) == right
    assert built.run() == set()


# Instead of the classifier, without TensorFlow.
PICKY_STAGE = """\
from pathlib import Path

from wavspec.errors import WavspecError
from pipeline.job import job

if "snakemake" in globals():
    with job(snakemake) as outputs:
        if snakemake.config["classifier"]["words"] != "all":
            raise WavspecError("no such words")
        for output in vars(outputs).values():
            for path in output if isinstance(output, list) else [output]:
                Path(path).write_text("a long training")
"""


def test_a_training_that_fails_keeps_the_last_classifier(built):
    (built.folder / "workflow_scripts" / "classifier.py").write_text(PICKY_STAGE)
    assert built.run("classifier") == {"classifier"}
    files = {path: path.read_bytes() for path in (built.results / "classifier").iterdir()}
    assert len(files) == 9
    said = built.snakemake("classifier", check=False, classifier="{words: [maybe]}")
    assert said.returncode == 1 and "no such words" in said.stdout
    assert {path: path.read_bytes() for path in files} == files
    assert built.planned("classifier") == set()


# The array and the tables


def test_what_does_not_touch_the_array_leaves_it(built, tmp_path):
    def array():
        status = (built.results / "wavfile_spec.dat").stat()
        return status.st_ino, status.st_mtime_ns

    before = array()
    split = "{validation: 30, testing: 30}"
    assert built.run(split=split) == {"tables"}
    lists = [built.dataset / f"{side}_list.txt" for side in ("validation", "testing")]
    lists[0].write_text("no/0.wav\ngo/0.wav\n")
    lists[1].write_text("no/1.wav\n")
    assert built.run(split=split) == {"tables"}
    # A line moved from one list to the other.
    lists[0].write_text("no/0.wav\n")
    lists[1].write_text("go/0.wav\nno/1.wav\n")
    assert built.run(split=split) == {"tables"}
    sides = pd.read_csv(built.results / "wavfile_split.csv")["split"]
    assert list(sides[:4]) == ["testing", "training", "validation", "testing"]
    built.dataset = built.dataset.rename(tmp_path / "moved")
    assert built.run(split=split) == {"tables"}
    assert array() == before


def test_a_home_folder_in_the_configuration(tmp_path):
    """As in the README, with lists that decide the split."""
    dataset = make_dataset(tmp_path / "words")
    for number, name in enumerate(("validation", "testing")):
        (dataset / f"{name}_list.txt").write_text(f"no/{number}.wav\n")
    tables = []
    for number, folder in enumerate([str(dataset), "~/words"]):
        workflow = Workflow(tmp_path / f"project{number}", dataset)
        workflow.environment = {**os.environ, "HOME": str(tmp_path)}
        workflow.snakemake(dataset=folder)
        files = ("wavfile_df.csv", "wavfile_split.csv", "invalid.csv", "pictures/invalid.html")
        tables.append([(workflow.results / file).read_bytes() for file in files])
        tables[-1] += workflow.outputs()
    assert tables[0] == tables[1]
