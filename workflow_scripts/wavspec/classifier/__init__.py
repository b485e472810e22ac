"""The classifier of spoken words.

examples: its inputs and classes.
network: the layers.
training: the epochs, and resuming interrupted training.
account: predictions, metrics and pictures.
doubtful: a page of the clips whose label gets a low probability.

Only `network` and `training` import TensorFlow, which takes seconds.
"""
