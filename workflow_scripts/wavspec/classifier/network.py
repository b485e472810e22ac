"""The network: from an example to a probability for each class."""

from keras import Model, layers


def build_network(shape, classes, mean, variance):
    """Return a Keras model from (n, *shape) examples to (n, classes) probabilities.

    The model standardises its input, so it takes examples as they are in the file. Dropout and
    Gaussian noise are active in training only.

    Args:
        shape: (96, 64) for a spectrogram, (128,) for an embedding.
        classes: number of classes.
        mean, variance: arrays, of each mel band, or of each number of an embedding.
    """
    inputs = layers.Input(shape)
    x = layers.Normalization(-1, mean, variance)(inputs)
    x = layers.GaussianNoise(0.2)(x)
    x = of_spectrograms(x) if len(shape) == 2 else of_embeddings(x)
    return Model(inputs, layers.Dense(classes, activation="softmax")(x))


def of_spectrograms(x):
    """A stem and three residual blocks, each at half the resolution of the one before."""
    x = layers.Reshape((*x.shape[1:], 1))(x)
    x = activated(convolution(x, 16, 5, 2))
    for filters in (32, 64, 128):
        shortcut = convolution(x, filters, 1, 2)
        x = activated(convolution(x, filters, 3, 2))
        x = activated(layers.Add()([convolution(x, filters, 3, 1), shortcut]))
    # The mean over time alone: a sound means the same at any time, but not in any band.
    x = layers.AveragePooling2D((x.shape[1], 1))(x)
    return layers.Dropout(0.5)(layers.Flatten()(x))


def of_embeddings(x):
    x = layers.Dense(256, use_bias=False)(x)
    return layers.Dropout(0.5)(activated(normalised(x)))


def convolution(x, filters, size, stride):
    x = layers.Conv2D(filters, size, stride, padding="same", use_bias=False)(x)
    return normalised(x)


def normalised(x):
    # Keras' default momentum of 0.99 needs more steps than a small dataset has.
    return layers.BatchNormalization(momentum=0.9)(x)


def activated(x):
    return layers.ReLU()(x)
