"""What is known about audio, labels, splits and networks.

dataset, clip, clips_table: find the clips, by their paths or in a table.
split, lists, split_checks: the split into training, validation and testing.
audio: read audio files and check whether they are valid.
front_end: compute log-mel examples from a waveform.
chunk: store a label's clips and spectrograms, and detect damage.
rows: read the tables of all labels.
summary: parts of the summary of a run.
vggish, vggish_files: the network for embeddings, and its published files.
classifier: its examples, network, training and metrics.
html_page: a page with a search, for invalid clips and label issues.
predict: label recordings with a trained classifier, on the command line.
"""
