# From a folder of audio files to VGGish log-mel spectrograms, label by label:
# catalog -> spectrograms -> concatenate, tables and pictures. See README.md.
import os
import sys

from snakemake.utils import min_version

min_version("9.27")

# The project's configuration has the defaults. A config.yaml in the folder in which snakemake is
# called overrides its keys.
PROJECT = os.path.dirname(workflow.snakefile)
OWN_CONFIG = os.path.join(PROJECT, "config.yaml")
sys.path.append(os.path.join(PROJECT, "workflow_scripts"))
from pipeline.configuration import check_yaml
from pipeline.provenance import compile_with_hashes

compile_with_hashes()
check_yaml(OWN_CONFIG, "config.yaml")


configfile: OWN_CONFIG


if os.path.exists("config.yaml") and not os.path.samefile("config.yaml", OWN_CONFIG):

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/catalog.smk"
include: "rules/spectrograms.smk"
include: "rules/concatenate.smk"
include: "rules/tables.smk"
include: "rules/pictures.smk"
include: "rules/embeddings.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"


if MAIN:
    with refusing():
        RUN.start(workflow.rules)


rule all:
    """All results of a run: arrays, tables and pictures."""
    default_target: True
    input:
        # A stage is due if its stamp does not exist. These inputs are not ancient: if all were, -R
        # would repeat a job, but not the jobs after it (snakemake/snakemake#4166).
        RUN.of_every_run(),
        lambda wildcards: RUN.finished_on_demand(workflow.dag_settings.forceall),


onstart:
    start_messages(log[0])


onsuccess:
    SUCCESS.append(True)
