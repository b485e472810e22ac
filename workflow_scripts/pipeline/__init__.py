"""Run control: digests, stamps, the plan, logs and messages.

Changes here do not invalidate results.
"""

import os
import sys

# Before the `wavspec` in .venv, which can be that of another clone. Snakemake puts the folder of a
# script last. Each script imports this package before `wavspec`.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
