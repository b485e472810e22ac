"""The classifier of labels, such as spoken words.

examples: its inputs and classes.
network: the layers.
augmentation: random changes of the training examples.
training: the epochs, and resuming an interrupted training.
metrics: predictions, metrics and pictures.
label_issues: a page of the clips whose label gets a low probability.

Only `network` and `training` import TensorFlow, which takes seconds.
"""
