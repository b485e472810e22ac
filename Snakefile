# From a folder of WAV files to VGGish log-mel spectrograms, label by label:
# catalog -> spectrograms -> concatenate, with split and pictures beside them. See README.md.
import os

from snakemake.utils import min_version

min_version("9.27")


# The project's own configuration has the defaults. One in the folder that snakemake is called from
# goes on top of it.
OWN_CONFIG = os.path.join(os.path.dirname(workflow.snakefile), "config.yaml")


configfile: OWN_CONFIG


if os.path.exists("config.yaml") and not os.path.samefile("config.yaml", OWN_CONFIG):

    configfile: "config.yaml"


report: "report/workflow.rst"


include: "rules/common.smk"
include: "rules/catalog.smk"
include: "rules/spectrograms.smk"
include: "rules/concatenate.smk"
include: "rules/split.smk"
include: "rules/tables.smk"
include: "rules/pictures.smk"
include: "rules/embed.smk"
include: "rules/embeddings.smk"
include: "rules/classifier.smk"


rule all:
    """`wavfile_spec.dat` and `wavfile_df.csv`, and all that belongs to them."""
    default_target: True
    input:
        # A stage is due if its stamp does not exist, see common.smk. None of these is ancient: if
        # all were, Snakemake would not look at later jobs after one that it repeats although its
        # files exist, as -R asks for (snakemake/snakemake#4166).
        of_every_run(),
        finished_later_stages(),


onstart:
    # Ctrl-C reaches all processes of the terminal. A job that is still starting would answer with a
    # hundred lines of Snakemake's. So jobs start deaf to it, and `job` makes them listen.
    shell.prefix("set -euo pipefail; trap '' INT; ")
    print_where_to_follow(log[0])


onsuccess:
    print_summary()


onerror:
    print_failures(log[0])
