# From a folder of audio files to VGGish log-mel spectrograms, label by label:
# catalog -> spectrograms -> concatenate, tables and pictures. See README.md.
import os

from snakemake.utils import min_version

min_version("9.27")


# The project's configuration has the defaults. A config.yaml in the folder in which snakemake is
# called overrides its keys.
OWN_CONFIG = os.path.join(os.path.dirname(workflow.snakefile), "config.yaml")


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
include: "rules/embed.smk"
include: "rules/embeddings.smk"
include: "rules/classifier.smk"


if MAIN:
    check_targets()


rule all:
    """All results of a run: arrays, tables and pictures."""
    default_target: True
    input:
        # A stage is due if its stamp does not exist, see common.smk. These inputs are not ancient:
        # if all were, -R would repeat a job, but not the jobs after it (snakemake/snakemake#4166).
        of_every_run(),
        finished_later_stages(),


onstart:
    # Ctrl-C reaches all processes of the terminal. A job that is still starting would print a
    # traceback of a hundred lines. So jobs ignore it at first, until `job` restores it.
    shell.prefix("set -euo pipefail; trap '' INT; ")
    print_where_to_follow(log[0])
    print_at_exit(log[0])


onsuccess:
    SUCCESS.append(True)
