"""What the workflow's scripts share, a module for each thing that must be known.

dataset: which clips there are. audio: what a WAV file holds, and whether it is valid. front_end:
from a waveform to log-mel examples. chunk: how a label's spectrograms are kept. digests and seals:
what the results were made of. files: whole or not there at all. job: a log, and an end in plain
words. vggish: the network that makes embeddings.
"""
