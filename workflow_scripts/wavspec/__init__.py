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

BEGAN_NS = time.time_ns()  # when this process began to import the modules above
