"""Start Snakemake without the second for its import: fork a process that has imported it.

Each line on stdin is a JSON object from `Workflow.snakemake`; each line on stdout is the
exit code of that Snakemake.
"""

import gc
import json
import os
import signal
import sys

import jsonschema  # noqa: F401  Snakemake imports these four later than the rest
import nbformat  # noqa: F401
import pandas  # noqa: F401
import smart_open  # noqa: F401
from snakemake.cli import get_argument_parser, main

get_argument_parser()  # imports the plugins
gc.freeze()  # a collection would copy all of this memory in each child

for line in sys.stdin:
    request = json.loads(line)
    child = os.fork()
    if child == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()

# From here on, this process is Snakemake.
for descriptor, file, flags in (
    (0, os.devnull, os.O_RDONLY),
    (1, request["output"], os.O_WRONLY | os.O_APPEND),
    (2, request["output"], os.O_WRONLY | os.O_APPEND),
):
    os.dup2(os.open(file, flags), descriptor)
os.chdir(request["folder"])
os.environ.clear()
os.environ.update(request["environment"])
signal.alarm(request["seconds"])
sys.argv = request["command"]
main()
