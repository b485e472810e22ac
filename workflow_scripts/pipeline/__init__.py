"""How a run is steered: files, digests, logs and messages. None of it decides a value.

These modules do not count as the code of a stage: a change here makes no result again.
"""

import os
import sys

# Before the `wavspec` in .venv, which can be that of another clone. Snakemake puts the folder of a
# script last. Each script imports this package before `wavspec`.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
