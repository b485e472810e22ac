"""The code and the packages that the results of a stage depend on.

They are found from imports: the stage's script, the modules of `wavspec` that it imports, directly
or indirectly, and the pinned packages that any of these import. Modules in `wavspec/run` only
control a run and are left out.
"""

import os
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from .digests import digest
from .errors import JobError

SCRIPTS = Path(__file__).resolve().parents[2]
REQUIREMENTS = SCRIPTS.parent / "requirements"
# The module `ast` would take ten times as long, in the job of every label.
IMPORT = re.compile(r"^ *(?:from +([\w.]+) +)?import +(\([^)]*\)|.*)", re.MULTILINE)
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.MULTILINE)


@cache
def code_of(stage):
    """Return the files that the results of `stage` depend on, and the names of all other imports.

    Returns:
        (list of Paths, the script first; set of names of top-level modules).
    """
    files, others = [SCRIPTS / f"{stage}.py"], set()
    for file in files:
        for name, path in imports_of(file):
            if path is None:
                others.add(name.partition(".")[0])
            elif path not in files and path.parent.name != "run":
                files.append(path)
    return files, others


@cache
def imports_of(file):
    """Return a list of (name, Path of the module or None, see `module_file`) of a file's imports.

    `from a import b` gives both a and a.b, because b may be a module.
    """
    imports = []
    for module, names in IMPORT.findall(file.read_text(encoding="utf-8")):
        names = re.sub(r"#.*|[()]", "", names).split(",")
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
            (REQUIREMENTS / f"{name}.in").read_text(encoding="utf-8")
        ):
            pinned[package.replace("-", "_").lower()] = package, number, command
    return pinned


@cache
def made_by(stage):
    """Return {"code": digest, package: pinned version} of the code and packages of a stage.

    Args:
        stage: the name of its script, or "wavspec/" and the name of a module.
    """
    files, others = code_of(stage)
    content = sorted((str(file.relative_to(SCRIPTS)), file.read_bytes()) for file in files)
    versions = dict(pins()[name][:2] for name in sorted(others & pins().keys()))
    return {"code": digest(content), **versions}


def label_digest(clips, settings):
    """Return the digest of a label's clips and everything else that its spectrograms depend on.

    Args:
        clips: the label's Clips, in row order.
        settings: {key: value} of the configuration.
    """
    state = "".join(f"{clip.path}\0{clip.size}\0{clip.mtime_ns}\n" for clip in clips)
    return digest(state, settings, made_by("spectrograms"))


def check_installed(stage):
    """Raise JobError if a package of the stage is not installed in the pinned version."""
    for module in sorted(code_of(stage)[1] & pins().keys()):
        package, pinned, command = pins()[module]
        cure = f"Run `make clean`, then `{command}`."
        spec = find_spec(module)
        if spec is None or spec.origin is None:  # a removed package can leave a folder
            # `make` alone does not complete a .venv again that it has completed before.
            cure = cure if command == "make" else f"Run `{command}`."
            raise JobError(f"{package} is not installed. {cure}")
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
            raise JobError(f"{package} {installed} is installed, {pinned} is pinned. {cure}")
