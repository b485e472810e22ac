"""How a run is steered: files, digests, logs and messages. None of it decides a value.

These modules do not count as the code of a stage: a change here makes no result again.
"""
