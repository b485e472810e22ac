"""What the workflow's scripts share about clips, spectrograms and networks, a module for each.

    dataset: which clips there are, and what their names may be.
    audio: what a WAV file holds, and whether it is valid.
    front_end: from a waveform to log-mel examples.
    chunk: how a label's clips and spectrograms are stored, and how damage is noticed.
    rows: the tables of all labels, for what is made of them.
    vggish, vggish_files: the network that makes embeddings, and the files published with it.

The modules in `run` steer a run. They do not count as the code that a result is made by.
"""
