"""Modules about clips, spectrograms and networks, shared by the workflow's scripts.

    dataset, clip: find the clips and check their names.
    split, lists, split_checks: the split into training, validation and testing.
    audio: read audio files and check whether they are valid.
    front_end: compute log-mel examples from a waveform.
    chunk: store a label's clips and spectrograms, and detect damage.
    rows: read the tables of all labels.
    summary: parts of the summary of a run.
    vggish, vggish_files: the network for embeddings, and its published files.
    classifier: the classifier of spoken words.
    predict: label recordings with a trained classifier, on the command line.

The modules in `run` control a run. Results do not depend on them.
"""
