"""What the workflow's scripts share, a module for each thing that must be known.

About the data:
    dataset: which clips there are, and what their names may be.
    audio: what a WAV file holds, and whether it is valid.
    front_end: from a waveform to log-mel examples.
    chunk: how a label's clips and spectrograms are kept, and how it is seen that they are whole.
    vggish, vggish_files: the network that makes embeddings, and the files published with it.

About the run:
    configuration: what config.yaml may say.
    digests, seals: what the results were made of.
    plan: what a run is about to do, in words.
    files: whole or not there at all.
    job, failures: a log, and an end in plain words.
    progress: how far a long stage has come.
"""

import time
from contextlib import suppress
from importlib.util import cache_from_source
from pathlib import Path

BEGAN_NS = time.time_ns()  # when this process began to import the modules above


def remove_doubtful_bytecode():
    """Remove the bytecode of the modules above that may be of another version of its source.

    Python believes bytecode whose source has the same size, and was written in the same second, as
    the source that it was compiled from. A source that was edited and put back within a second may
    meet that. Bytecode is beyond doubt if it was written two seconds after its source, or later.
    """
    for source in Path(__file__).parent.glob("*.py"):
        bytecode = Path(cache_from_source(source))
        with suppress(OSError):
            if bytecode.stat().st_mtime < source.stat().st_ctime + 2:
                bytecode.unlink()


remove_doubtful_bytecode()
