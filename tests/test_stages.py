"""Stages: how to add one, the code that it depends on, and the repair of damaged outputs."""

import ast
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tokenize
from pathlib import Path

import damage
import pandas as pd
import pytest
from pipeline import provenance
from pipeline.stamps import Stamp, stamps_of
from wavs import make_dataset, write_wav
from wavspec.errors import WavspecError
from workflow import ROOT, Workflow
from workflow import STAGES as KNOWN

SCRIPTS = ROOT / "workflow_scripts"
STAGES = sorted(script.stem for script in SCRIPTS.glob("*.py"))
EVERY_RUN = {
    rules.stem
    for rules in (ROOT / "rules").glob("*.smk")
    if 'RUN.stamp("' in (text := rules.read_text()) and "on_demand=" not in text
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
from pipeline.job import job, summarize, warn
from pipeline.labels import read_rows


def write_means(rows, means):
    clips = rows[rows["example"] == "0"]
    seconds = pd.to_numeric(clips["samples"]) / pd.to_numeric(clips["sample_rate"])
    seconds.groupby(clips["label"]).mean().rename("seconds").to_csv(means)


if "snakemake" in globals():
    with job(snakemake) as outputs:
        write_means(read_rows(snakemake.input.tables, snakemake.params.settings), outputs.means)
        summarize(f"The mean lengths are in {snakemake.output.means}")
        warn("means say little")
'''
MEANS_RULE = """\
rule added_by_a_test:
    input:
        tables=all_tables,
    output:
        means="<results>/added_by_a_test.csv",
        stamp=RUN.stamp("added_by_a_test", TABLES),
    log:
        "<results>/logs/added_by_a_test.log",
    params:
        settings=RUN.settings,
    script:
        "../workflow_scripts/added_by_a_test.py"
"""


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

    for damaged in damage.OF_OUTPUTS:
        damaged(means)
        assert built.run() == {ADDED}, damaged
        assert means.read_text() == right
    output = built.snakemake("-R", ADDED).stdout
    assert "The mean lengths are in results/added_by_a_test.csv" in output
    assert "Warning: means say little" in output


# The code of a stage


IMPORTED = """\
import importlib, sys
importlib.import_module(sys.argv[1])
files = (getattr(module, "__file__", None) for module in sys.modules.values())
print(*filter(None, files), sep="\\n")
"""


def imported(module):
    """Return the files in workflow_scripts that a fresh Python imports with a module."""
    command = [sys.executable, "-c", IMPORTED, module]
    environment = {**os.environ, "PYTHONPATH": str(SCRIPTS)}
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return {Path(line) for line in output.stdout.splitlines() if line.startswith(f"{SCRIPTS}/")}


@pytest.mark.parametrize("stage", STAGES)
def test_the_code_of_a_stage_is_what_its_script_imports(stage):
    # Some imports are within functions: what is needed by no other file may be missing here.
    files, _ = provenance.files_of(stage)
    packages = {path for path in imported(stage) if path.name == "__init__.py"}
    control = {path for path in imported(stage) if path.parent.name == "pipeline"}
    assert imported(stage) - packages - control <= set(files)
    assert not control & set(files)


@pytest.mark.parametrize(
    "module",
    [
        "wavspec." + ".".join(path.relative_to(SCRIPTS / "wavspec").with_suffix("").parts)
        for path in (SCRIPTS / "wavspec").rglob("*.py")
        if path.name != "__init__.py"
    ],
)
def test_what_is_known_about_audio_imports_nothing_that_runs_it(module):
    path = SCRIPTS.joinpath(*module.split(".")).with_suffix(".py")
    names = {name.partition(".")[0] for name, _ in provenance.imports_of(path)}
    assert not names & {"pipeline", "snakemake"}


ODD_IMPORTS = {
    "odd.py": """\
import os, wavspec.a
import numpy as np, pandas as pd
from wavspec import (
    b,  # (the second
    c as other,
)

def later():
    '''import wavspec.not_imported'''
    if os:
        from wavspec.d import (
            f, g)
    from pipeline.job import job
    import soundfile.more  # and no more
""",
    "wavspec/a.py": "from . import e\nfrom .f import (name)\n",
    "wavspec/b.py": "from .errors import WavspecError\n",
    "wavspec/c.py": "from matplotlib import pyplot\n",
    "wavspec/d.py": "import odd\n",
    "wavspec/e.py": "from .a import name\n",
    "wavspec/f.py": "",
    "wavspec/not_imported.py": "import tensorflow\n",
    "wavspec/g.py": "",
    "pipeline/job.py": "from wavspec.g import name\n",
}


@pytest.fixture
def fresh(monkeypatch, tmp_path):
    """Let the module `provenance` look at another project; return a function to read it anew."""

    def forget():
        for function in vars(provenance).values():
            getattr(function, "cache_clear", str)()

    monkeypatch.setattr(provenance, "PROJECT", tmp_path)
    monkeypatch.setattr(provenance, "SCRIPTS", tmp_path / "workflow_scripts")
    forget()
    yield forget
    forget()


def test_imports_of_all_forms_are_found(fresh):
    scripts = provenance.SCRIPTS
    for name, text in ODD_IMPORTS.items():
        (scripts / name).parent.mkdir(parents=True, exist_ok=True)
        (scripts / name).write_text(text)
    files, others = provenance.files_of("odd")
    assert {str(path.relative_to(scripts)) for path in files} == {
        *("odd.py", "wavspec/a.py", "wavspec/b.py", "wavspec/c.py", "wavspec/d.py"),
        *("wavspec/e.py", "wavspec/f.py", "wavspec/g.py"),
    }
    assert {"numpy", "pandas", "soundfile", "matplotlib"} <= others
    assert "tensorflow" not in others


def without_docstrings(text):
    """Return the syntax tree of Python code as text, without docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and isinstance(body[0], ast.Expr):
            if isinstance(getattr(body[0].value, "value", None), str):
                node.body = body[1:] or [ast.Pass()]
    return ast.dump(tree)


@pytest.mark.parametrize("path", [*SCRIPTS.rglob("*.py")], ids=lambda path: path.stem)
def test_code_is_all_but_comments_and_docstrings(path):
    code = provenance.code_in(path)
    if code.strip():
        # A class of nothing but a docstring.
        code = re.sub(r"(^class \w+(\(.*\))?:\n)(?! )", r"\1    pass\n", code, flags=re.M)
        assert without_docstrings(code) == without_docstrings(path.read_text())
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    assert not [token for token in tokens if token.type == tokenize.COMMENT]


WAVSPEC_PACKAGES = [*(SCRIPTS / "wavspec").rglob("__init__.py")]


@pytest.mark.parametrize("path", WAVSPEC_PACKAGES, ids=lambda path: path.parent.name)
def test_packages_hold_no_code_of_their_own(path):
    """No stage would depend on it."""
    assert [type(node) for node in ast.parse(path.read_text()).body] == [ast.Expr]


HARMLESS = {
    "a comment": lambda text: f'# Comment\n{text}\n# Another, with "quotes\n',
    "blank lines": lambda text: text.replace("\n", "\n\n", 1) + "\n\n",
    "a docstring": lambda text: re.sub(r'"""', '"""Another. ', text, count=1),
}
STRINGS = [
    ("x = '#'\n", "x = '# '\n"),
    ('x = """#"""\n', 'x = """# """\n'),
    ("x = 'it\\'s #'\n", "x = 'it\\'s # '\n"),
    ('def f():\n    """A."""\n    x = """B."""\n', 'def f():\n    """A."""\n    x = """C."""\n'),
    ("def f():\n    g(\n        'a'\n    )\n", "def f():\n    g(\n        'b'\n    )\n"),
]


@pytest.mark.parametrize(("text", "other"), STRINGS)
def test_strings_are_code(tmp_path, text, other):
    (tmp_path / "a.py").write_text(text)
    (tmp_path / "b.py").write_text(other)
    assert provenance.code_in(tmp_path / "a.py") != provenance.code_in(tmp_path / "b.py")


def test_each_edit_of_a_file_against_each_stage(fresh, tmp_path):
    for folder in ("workflow_scripts", "rules", "requirements", "envs"):
        shutil.copytree(ROOT / folder, tmp_path / folder)

    def now():
        fresh()
        return {stage: provenance.provenance(stage) for stage in STAGES}

    before = now()

    def due_after(path, change):
        text = path.read_text()
        path.write_text(change(text))
        due = {stage for stage, code in now().items() if code != before[stage]}
        path.write_text(text)
        return due

    def add_code(text):
        return f"{text}\nADDED = 1\n"

    depends = {stage: provenance.files_of(stage) for stage in STAGES}
    for path in provenance.SCRIPTS.rglob("*.py"):
        assert due_after(path, add_code) == {s for s in STAGES if path in depends[s][0]}, path
        for name, change in HARMLESS.items():
            assert not due_after(path, change), (path, name)
    for path in (tmp_path / "rules").glob("*.smk"):
        own = {path.stem} & set(STAGES)
        for name, change in HARMLESS.items():
            assert not due_after(path, change), (path, name)
        for old, new in (
            ("    input:\n", "    input:\n        more=[],\n"),
            ("    output:\n", "    output:\n        more=[],\n"),
            ("    params:\n", "    params:\n        more=[],\n"),
            ("rule ", "MORE = []\nrule "),
        ):
            if old in path.read_text():
                assert due_after(path, lambda text, a=old, b=new: text.replace(a, b)) == own
        for old, new in (
            ("mem_mb=", "runtime=1, mem_mb="),
            ("localrule: True", "localrule: False"),
            ("threads: ", "threads: 1 + "),
            ("/logs/", "/logs/more/"),
        ):
            assert not due_after(path, lambda text, a=old, b=new: text.replace(a, b)), (path, old)
    for path in (tmp_path / "envs").glob("*"):
        assert not due_after(path, add_code)
    for name in ("run", "tensorflow"):
        path = tmp_path / "requirements" / f"{name}.in"
        assert not due_after(path, lambda text: f"{text}# changed\n")
        for pin in re.findall("^.*==.*$", path.read_text(), re.MULTILINE):
            module = pin.partition("==")[0].replace("-", "_")
            due = due_after(path, lambda text, pin=pin: text.replace(pin, f"{pin}1"))
            assert due == {stage for stage in STAGES if module in depends[stage][1]}, module


# {(file, text, its replacement): the jobs of the next run}
LABELS = {"spectrograms go", "spectrograms no", "spectrograms yes"}
EDITS = {
    ("rules/common.smk", '{label}.{digest}.csv")', '{label}.{digest}.csv")[:-1]'): {
        *("tables", "pictures")
    },
    ("rules/tables.smk", "tables=all_tables", "tables=TABLES[:-1]"): {"tables"},
    ("rules/spectrograms.smk", "--threads {threads}", "--threads 2"): {
        *("catalog", *LABELS, "concatenate", "pictures", "tables")
    },
    ("rules/spectrograms.smk", "mem_mb=", "disk_mb=1, mem_mb="): set(),
    ("workflow_scripts/wavspec/clip.py", 'lineterminator="\\n"', 'lineterminator="\\r\\n"'): {
        *("catalog", *LABELS, "concatenate", "pictures", "tables")
    },
    ("workflow_scripts/pictures.py", '"font.size": 9', '"font.size": 8'): {"pictures"},
    ("workflow_scripts/pipeline/plan.py", "NAMED = 12", "NAMED = 11"): set(),
    (
        "workflow_scripts/wavspec/front_end.py",
        "LOG_OFFSET = 0.01",
        "LOG_OFFSET = 0.01  # ln",
    ): set(),
}


def test_an_edit_makes_due_what_it_can_change(built):
    built.stages = KNOWN
    for (file, old, new), jobs in EDITS.items():
        path = built.folder / file
        text = path.read_text()
        assert old in text, file
        path.write_text(text.replace(old, new))
        assert built.planned() == jobs, (file, new)
        path.write_text(text)
    assert built.planned() == set()


def test_bytecode_of_the_same_size_and_time_is_not_used(built):
    """Python compares only these two, in archives with fixed times and layers of images."""
    front_end = built.folder / "workflow_scripts" / "wavspec" / "front_end.py"
    status, text = front_end.stat(), front_end.read_text()
    built.environment = {**os.environ}
    built.environment.pop("PYTHONDONTWRITEBYTECODE", None)
    compile_all = [sys.executable, "-m", "compileall", "-q", built.folder / "workflow_scripts"]
    subprocess.run(compile_all, env=built.environment, check=True)
    for old, new in (("LOG_OFFSET = 0.01", "LOG_OFFSET = 0.02"), ("0.02", "0.01")):
        text = text.replace(old, new)
        front_end.write_text(text)
        os.utime(front_end, ns=(status.st_atime_ns, status.st_mtime_ns))
        built.snakemake()
        assert (built.outputs() == built.expected()) == (new == "0.01")


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
    requirements = tmp_path / "requirements"
    (tmp_path / "here.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    (requirements / "tensorflow.in").touch()
    (requirements / "run.in").write_text(pin)
    script = f"import numpy\nimport {pin.partition('==')[0]}\n"
    (provenance.SCRIPTS / "some.py").write_text(script)
    (provenance.SCRIPTS / "other.py").write_text("import os\n")
    with pytest.raises(WavspecError, match=message):
        provenance.check_installed("some")
    provenance.check_installed("other")


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
        r"^(.+)\n  cause: ImportError: libfoo\.so: cannot open it$",
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
    assert log.read_text(encoding="utf-8") == "猫 \\udce9\nError: 猫.wav\n"


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
    others = {*built.results.glob("stamps/*"), built.results / "README.md"}
    assert {file for file in built.results.rglob("*") if file.is_file()} <= (
        listed | chunks_and_logs | others
    )
    for stage, files in outputs.items():
        digest = digest_of(built, stage)
        [stamp] = built.results.glob(f"stamps/{stage}.*")
        assert Stamp.of(built.results, stage, digest).damage == ""
        for file in [*files, stamp]:
            right, times = file.read_bytes(), file.stat()
            for change in damage.OF_STAMPS if file == stamp else damage.OF_OUTPUTS:
                change(file)
                found = Stamp.of(built.results, stage, digest)
                assert found.damage == str(file) and not Path(found.path).exists(), (file, change)
                damage.restore(file, right)
                # With another time and the same content.
                assert Stamp.of(built.results, stage, digest).damage == ""
            os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_large_output_of_another_time_is_made_again(built):
    code = built.folder / "workflow_scripts" / "pipeline" / "stamps.py"
    code.write_text(code.read_text().replace("100_000_000", "1000"))
    file = built.results / "wavfile_spec.dat"
    built.snakemake("--forcerun", "concatenate")
    [stamp] = built.results.glob("stamps/concatenate.*")
    assert "null" in stamp.read_text()
    assert built.run() == set()
    os.utime(file)
    assert built.run() == {"concatenate"}
    os.utime(file, (1.5e9, 1.5e9))  # an older copy
    assert built.run() == {"concatenate"}
    assert built.run() == set()


@pytest.mark.parametrize("number", range(len(damage.OF_OUTPUTS)))
def test_one_run_makes_damaged_outputs_again(built, number):
    """A file of each stage, another one for each kind of damage."""
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    damaged = {stage: files[number % len(files)] for stage, files in outputs.items()}
    for file in damaged.values():
        damage.OF_OUTPUTS[number](file)
    output = built.snakemake("--dry-run").stdout
    for stage, file in damaged.items():
        state = "not as the workflow wrote it" if file.is_symlink() or file.exists() else "missing"
        line = f"{built.relative(file)} is {state}: {stage} will run again\n"
        assert output.count(line) == 1
    assert built.run() - LABELS == EVERY_RUN
    assert content(right) == right
    assert built.run() == set()
    assert {stage: len(stamps_of(built.results, stage)) for stage in EVERY_RUN} == dict.fromkeys(
        EVERY_RUN, 1
    )


def test_files_and_folders_in_the_way_are_renamed(built):
    right = {**content(file for files in outputs_of(built).values() for file in files)}
    for folder in ("pictures", "stamps"):
        shutil.rmtree(built.results / folder)
        (built.results / folder).write_text("in the way")
    for file in (built.results / "wavfile_df.csv", built.chunk("no"), built.catalog("go")):
        damage.make_folder(file)
    for _ in range(2):
        output = built.snakemake(check=False).stdout
    assert content(right) == right, output
    assert built.run() == set()
    assert (built.results / "pictures.unusable1").read_text() == "in the way"


def copy_as_second(stamp):
    shutil.copy(stamp, stamp.with_name(stamp.name.replace(".json", ".2.json")))


def copy_as_older(stamp):
    shutil.copy(stamp, stamp.with_name(f"{stamp.name.split('.')[0]}.0123456789ab.json"))


def test_one_run_makes_the_outputs_of_damaged_stamps_again(built):
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    damages = [*damage.OF_STAMPS, copy_as_second, copy_as_older]
    stages = sorted(EVERY_RUN)
    while damages:
        some, damages = damages[: len(stages)], damages[len(stages) :]
        for stage, change in zip(stages, some, strict=False):
            [stamp] = built.results.glob(f"stamps/{stage}.*.json")
            change(stamp)
        assert built.run() == set(stages[: len(some)])
        assert content(right) == right
    assert built.run() == set()


def test_force_works_over_damage(built):
    outputs = outputs_of(built)
    right = content(file for files in outputs.values() for file in files)
    for file in (built.chunk("no"), built.chunk("go", ".csv"), built.catalog("yes")):
        damage.cut(file)
    for files in outputs.values():
        damage.append(files[0])
    built.snakemake("--forceall")
    assert content(right) == right
    for rule in ("concatenate", "tables"):
        damage.cut(outputs[rule][0])
        assert rule in built.run("--forcerun", rule)
        assert content(right) == right
    assert built.run() == set()


# The array and the tables


def test_what_does_not_touch_the_array_leaves_it(built, tmp_path):
    built.stages = KNOWN

    def array():
        status = (built.results / "wavfile_spec.dat").stat()
        return status.st_ino, status.st_mtime_ns

    before = array()
    split = "{validation: 30, testing: 30}"
    assert built.run(split=split) == {"tables"}
    lists = [built.dataset / f"{name}_list.txt" for name in ("validation", "testing")]
    lists[0].write_text("no/0.wav\ngo/0.wav\n")
    lists[1].write_text("no/1.wav\n")
    assert built.run(split=split) == {"tables"}
    # A line moved from one list to the other.
    lists[0].write_text("no/0.wav\n")
    lists[1].write_text("go/0.wav\nno/1.wav\n")
    assert built.run(split=split) == {"tables"}
    splits = pd.read_csv(built.results / "wavfile_split.csv")["split"]
    assert list(splits[:4]) == ["testing", "training", "validation", "testing"]
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
