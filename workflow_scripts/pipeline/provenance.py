"""The code and the packages that the outputs of a stage depend on.

They are found from imports: the stage's script and rule, the modules of `wavspec` that the script
imports, directly or indirectly, and the pinned packages that any of these import. Comments,
docstrings and blank lines do not count. The modules in `pipeline` only control a run. They are left
out, unlike the modules of `wavspec` that they import.
"""

import importlib.util
import os
import re
from functools import cache
from pathlib import Path

from wavspec.errors import WavspecError

from .digests import digest

SCRIPTS = Path(__file__).resolve().parents[1]
PROJECT = SCRIPTS.parent
# The modules `ast` and `tokenize` would take twenty times as long, in the job of every label.
STRING_OR_COMMENT = re.compile(
    r"""(\"{3}(?:\\.|[^\\])*?\"{3}|'{3}(?:\\.|[^\\])*?'{3}|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"|\#[^\n]*",
    re.DOTALL,
)
BLANK = re.compile(r"[ \t]*\n(?:[ \t]*\n)*")
# A string alone at the start of a file, or after a line that ends with a colon.
DOCSTRING = re.compile(r'(\A\n?|:\n)[ \t]*r?"{3}(?:\\.|[^\\])*?"{3}(?=\n|\Z)', re.DOTALL)
IMPORT = re.compile(r"^ *(?:from +([\w.]+) +)?import +(\([^)]*\)|.*)", re.MULTILINE)
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)
# The parts of a rule that decide its outputs, unlike its log, resources or conda environment.
DIRECTIVES = {"input", "output", "params", "shell", "script"}


@cache
def code_in(file):
    """Return the text of a Python or Snakemake file without comments, docstrings, blank lines."""
    text = STRING_OR_COMMENT.sub(lambda match: match[1] or "", file.read_text(encoding="utf-8"))
    return BLANK.sub("\n", DOCSTRING.sub(r"\1", BLANK.sub("\n", text))).strip()


def rule_in(file):
    """Return the directives of a rule that decide its outputs, and the code above the rule."""
    above, *directives = re.split(r"^    (?=\w+:)", code_in(file), flags=re.MULTILINE)
    return [above, *(part for part in directives if part.partition(":")[0] in DIRECTIVES)]


@cache
def files_of(stage):
    """Return the files that the outputs of `stage` depend on, and the names of all other imports.

    Args:
        stage: the name of its script, or "wavspec/" and the name of a module.

    Returns:
        (list of Paths, the script first; set of names of top-level modules).
    """
    files, others = [SCRIPTS / f"{stage}.py"], set()
    for file in files:
        for name, path in imports_of(file):
            if path is None:
                others.add(name.partition(".")[0])
            elif path not in files:
                files.append(path)
    return [file for file in files if file.parent.name != "pipeline"], others


@cache
def imports_of(file):
    """Return a list of (name, Path of the module or None, see `module_file`) of a file's imports.

    `from a import b` gives both a and a.b, because b may be a module.
    """
    imports = []
    for module, names in IMPORT.findall(code_in(file)):
        names = re.sub(r"[()]", "", names).split(",")
        names = [name.split()[0] for name in names if name.strip()]
        if module:
            names = [module, *(f"{module.removesuffix('.')}.{name}" for name in names)]
        imports += [(name, module_file(name, file.parent)) for name in names]
    return imports


def module_file(name, folder):
    """Return the Path of a module of this repository, imported by a file in `folder`, or None."""
    dots = len(name) - len(name.lstrip("."))
    above = folder.joinpath(*[".."] * (dots - 1)).resolve() if dots else SCRIPTS
    path = above.joinpath(*name.lstrip(".").split(".")).with_suffix(".py")
    return path if path.is_file() else None


@cache
def pins():
    """Return {module: (package, version, the command that installs it)} of requirements/*.in."""
    pinned = {}
    for name, command in (("tensorflow", "make tensorflow"), ("run", "make")):
        for package, number in PIN.findall(
            (PROJECT / "requirements" / f"{name}.in").read_text(encoding="utf-8")
        ):
            pinned[package.replace("-", "_").lower()] = package, number, command
    return pinned


@cache
def provenance(stage):
    """Return {"code": digest, package: pinned version} of the code and packages of a stage.

    Args:
        stage: see `files_of`.
    """
    files, others = files_of(stage)
    code = sorted((str(file.relative_to(SCRIPTS)), code_in(file)) for file in files)
    rule = PROJECT / "rules" / f"{stage}.smk"
    versions = dict(pins()[name][:2] for name in sorted(others & pins().keys()))
    return {"code": digest(code, rule_in(rule) if rule.is_file() else ""), **versions}


def label_digest(clips, settings):
    """Return the digest of a label's clips and everything else that its spectrograms depend on.

    Args:
        clips: the label's Clips, in row order.
        settings: {key: value} of the configuration.
    """
    state = "".join(
        f"{clip.path}\0{clip.size}\0{clip.mtime_ns}\0{clip.start}\0{clip.end}\n" for clip in clips
    )
    return digest(state, settings, provenance("spectrograms"))


def compile_with_hashes():
    """Compile the project's modules to bytecode that Python compares with a hash of the source.

    By default, Python uses bytecode if size and time in whole seconds match those of the source. An
    edit in the same second could then give values of the earlier code the digest of the new one.
    """
    import py_compile  # which a label's job does not need

    for source in SCRIPTS.glob("[!_.]*/**/*.py"):
        compiled = Path(importlib.util.cache_from_source(source))
        valid = (3).to_bytes(4, "little") + importlib.util.source_hash(source.read_bytes())
        try:
            if compiled.read_bytes()[4:16] == valid:
                continue
        except OSError:
            pass
        try:
            mode = py_compile.PycInvalidationMode.CHECKED_HASH
            py_compile.compile(source, doraise=True, invalidation_mode=mode)
        except (OSError, py_compile.PyCompileError):
            # Without permission to write, there is no bytecode of this user's to distrust. An error
            # of the source is reported when it is imported.
            continue


def check_installed(stage):
    """Raise WavspecError if a package of the stage is not installed in the pinned version."""
    for module in sorted(files_of(stage)[1] & pins().keys()):
        package, pinned, command = pins()[module]
        cure = f"Run `make clean`, then `{command}`."
        spec = importlib.util.find_spec(module)
        if spec is None or spec.origin is None:  # a removed package can leave a folder
            # `make` alone does not complete a .venv again that it has completed before.
            cure = cure if command == "make" else f"Run `{command}`."
            raise WavspecError(f"{package} is not installed. {cure}")
        folder = os.path.dirname(spec.origin)
        site = os.path.dirname(folder) if spec.submodule_search_locations else folder
        if os.path.isdir(f"{site}/{package.replace('-', '_')}-{pinned}.dist-info"):
            continue
        # Imported here, because it takes as long as the whole check.
        from importlib.metadata import PackageNotFoundError, version

        try:
            installed = version(package)
        except PackageNotFoundError:
            installed = "of unknown version"
        if installed != pinned:
            raise WavspecError(f"{package} {installed} is installed, {pinned} is pinned. {cure}")
