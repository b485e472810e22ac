"""The classifier of spoken words, a module for each thing that must be known.

examples: what it learns from, and for which words.
network: the layers.
training: the epochs, and how a killed training resumes.
account: how well it does, in tables and pictures.
doubtful: a page of the clips whose label it doubts.

Only `network` and `training` import TensorFlow, which takes seconds.
"""
