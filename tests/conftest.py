"""The fixtures that most tests begin with."""

import os

# A job of the workflow has one BLAS thread. With more, some processors' kernels give the original
# front end other last bits.
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import pytest
from wavs import make_dataset
from workflow import Workflow


@pytest.fixture
def workflow(tmp_path):
    """The workflow with a small dataset of three labels of two valid clips each."""
    return Workflow(tmp_path / "project", make_dataset(tmp_path / "dataset"))


@pytest.fixture
def built(workflow):
    """The workflow after a clean build."""
    workflow.snakemake()
    return workflow
