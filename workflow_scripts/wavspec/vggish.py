"""The VGGish network in tf-slim: from log-mel examples to embeddings of 128 numbers.

The network is that of Hershey et al., "CNN Architectures for Large-Scale Audio Classification"
(ICASSP 2017), with the variable names of the released checkpoint. Needs TensorFlow.
"""

from contextlib import contextmanager

import numpy as np
import tensorflow.compat.v1 as tf
import tf_slim as slim

from .errors import WavspecError
from .front_end import EXAMPLE_SHAPE

# All batches have this size, the last one padded: other shapes can select kernels with different
# rounding. Larger batches are not faster and take more memory.
BATCH_SIZE = 64

# The channels of each block of 3x3 convolutions; a 2x2 max pool follows each block.
CONVOLUTIONS = {"conv1": [64], "conv2": [128], "conv3": [256, 256], "conv4": [512, 512]}


def vggish(examples):
    """Return the (n, 128) float32 tensor of embeddings of a (n, 96, 64) float32 tensor."""
    net = examples[..., tf.newaxis]
    with tf.variable_scope("vggish"):
        for block, channels in CONVOLUTIONS.items():
            for number, outputs in enumerate(channels, 1):
                scope = block if len(channels) == 1 else f"{block}/{block}_{number}"
                net = slim.conv2d(net, outputs, kernel_size=3, scope=scope)
            net = slim.max_pool2d(net, kernel_size=2)
        net = slim.flatten(net)
        for scope in ("fc1/fc1_1", "fc1/fc1_2"):
            net = slim.fully_connected(net, 4096, scope=scope)
        # Linear: the released weights and the PCA are for embeddings that are not rectified.
        return slim.fully_connected(net, 128, activation_fn=None, scope="fc2")


@contextmanager
def loaded(checkpoint, threads):
    """Yield the network with its weights: a function from (n, 96, 64) to (n, 128) float32 arrays.

    It takes 1 to BATCH_SIZE examples at a time, and runs on the first GPU that TensorFlow finds. On
    CPUs, the values do not depend on the number of threads.

    Args:
        checkpoint: a V1 checkpoint's file, or the prefix of the files of a V2 one.
        threads: number of CPU threads.

    Raises:
        WavspecError: see `check`, which runs first.
    """
    # Some GPUs use 10-bit products for float32, which give other values than the published ones.
    tf.config.experimental.enable_tensor_float_32_execution(False)
    options = tf.ConfigProto(
        intra_op_parallelism_threads=threads,
        inter_op_parallelism_threads=threads,
        gpu_options=tf.GPUOptions(allow_growth=True),
    )
    with tf.Graph().as_default():
        examples = tf.placeholder(tf.float32, (BATCH_SIZE, *EXAMPLE_SHAPE))
        embeddings = vggish(examples)
        check(checkpoint, tf.global_variables())
        with tf.Session(config=options) as session:
            tf.train.Saver().restore(session, checkpoint)

            def network(batch):
                padding = [(0, BATCH_SIZE - len(batch)), (0, 0), (0, 0)]
                return session.run(embeddings, {examples: np.pad(batch, padding)})[: len(batch)]

            yield network


def check(checkpoint, variables):
    """Check that `checkpoint` has all `variables`, complete, finite and of the right shape.

    TensorFlow itself checks neither the shape nor for NaN.

    Raises:
        WavspecError: a variable is missing, damaged, of another shape, or not finite.
    """
    try:
        reader = tf.train.load_checkpoint(checkpoint)
    except (ValueError, tf.errors.OpError) as error:
        raise WavspecError(
            f"{checkpoint} is not a complete TensorFlow checkpoint: {error}"
        ) from error
    shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
    for variable in variables:
        name, shape = variable.op.name, variable.shape.as_list()
        expected = f"{checkpoint}: tensor {name}, float32 of shape {shape} expected"
        if name not in shapes:
            others = ", ".join(sorted(shapes)[:20])
            raise WavspecError(f"{expected}, is not there; it has {others}")
        if (shapes[name], dtypes[name]) != (shape, tf.float32):
            raise WavspecError(f"{expected}, is {dtypes[name].name} of shape {shapes[name]}")
        try:
            finite = np.isfinite(reader.get_tensor(name)).all()
        except Exception as error:  # of any type, as it comes from C++
            raise WavspecError(f"{expected}, cannot be read: {error}") from error
        if not finite:
            raise WavspecError(f"{expected}, has NaN or infinite weights")


def devices():
    """Return TensorFlow's version and the device for the network as text."""
    gpus = [
        f"{gpu.name} ({tf.config.experimental.get_device_details(gpu).get('device_name')})"
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return f"TensorFlow {tf.version.VERSION}, on {', '.join(gpus) or 'the CPU: no GPU found'}"
