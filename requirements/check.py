"""Exit with a message on what to do if a set of packages cannot be installed here.

Usage, in the folder of the clone: `python requirements/check.py [SET]`
"""

import os
import re
import sys
import sysconfig
from shutil import which

python = f"Python {sys.version_info[0]}.{sys.version_info[1]}"

if sys.version_info < (3, 11):  # noqa: UP036  Older versions run this, too.
    sys.exit(f"{python} is too old. Use version 3.11 or newer: make PYTHON=python3.13")

# Snakemake starts scripts with the unquoted path of Python. venv does not accept a colon.
unfit = re.search(r"""[\s"$&'()*:;<>?\\`|]""", os.getcwd())
if unfit:
    character = unfit.group().replace(" ", "a space")
    sys.exit(f"Snakemake cannot run in a path with {character}. Move the clone: {os.getcwd()}")

# No wheels for Python 3.14: tensorflow 2.21.0, and immutables 0.21, which Snakemake imports.
if sys.version_info >= (3, 14):
    if "tensorflow" in sys.argv:
        sys.exit("TensorFlow 2.21 needs Python 3.13: make clean, make tensorflow PYTHON=python3.13")
    compiler = sysconfig.get_config_var("CC").split()[0]
    header = os.path.join(sysconfig.get_path("include"), "Python.h")
    if not (which(compiler) and os.path.exists(header)):
        sys.exit(
            f"On {python}, a dependency of Snakemake needs gcc and Python's headers "
            "(Debian: apt install gcc python3-dev).\n"
            "Python 3.13 does not need them: make PYTHON=python3.13"
        )
