"""VGGish with random weights, in the formats of the released files."""

import numpy as np

SHAPES = {
    "conv1": (3, 3, 1, 64),
    "conv2": (3, 3, 64, 128),
    "conv3/conv3_1": (3, 3, 128, 256),
    "conv3/conv3_2": (3, 3, 256, 256),
    "conv4/conv4_1": (3, 3, 256, 512),
    "conv4/conv4_2": (3, 3, 512, 512),
    "fc1/fc1_1": (12288, 4096),
    "fc1/fc1_2": (4096, 4096),
    "fc2": (4096, 128),
}


def random_weights():
    """{variable's name: float32 array}, of a size that neither grows nor fades with depth."""
    random = np.random.default_rng(0)
    weights = {}
    for layer, shape in SHAPES.items():
        scale = np.float32(np.sqrt(2 / np.prod(shape[:-1])))
        weights[f"vggish/{layer}/weights"] = scale * random.standard_normal(shape, np.float32)
        weights[f"vggish/{layer}/biases"] = random.normal(0, 0.1, shape[-1:]).astype(np.float32)
    return weights


def save_v1(path, tensors):
    import tensorflow as tf

    # Settings of the classifier's tests, which TensorFlow cannot change after its start.
    tf.config.threading.set_intra_op_parallelism_threads(2)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    tf.raw_ops.Save(filename=str(path), tensor_names=list(tensors), data=list(tensors.values()))
    return [str(path)]


def save_v2(path, tensors):
    import tensorflow as tf

    tf.raw_ops.SaveV2(
        prefix=str(path),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=list(tensors.values()),
    )
    return [f"{path}.index", f"{path}.data-00000-of-00001"]


class Vggish:
    """The input files of the stage, with random weights."""

    def __init__(self, folder):
        self.weights = random_weights()
        self.v1 = save_v1(folder / "v1.ckpt", self.weights)
        self.v2 = save_v2(folder / "v2.ckpt", self.weights)
        random = np.random.default_rng(1)
        self.axes = random.normal(0, 0.1, (128, 128))
        self.means = random.normal(0, 0.5, 128)
        self.pca = str(folder / "pca.npz")
        np.savez(self.pca, pca_eigen_vectors=self.axes, pca_means=self.means)
        self.config = {"vggish_checkpoint": self.v1[0], "vggish_pca": self.pca}
