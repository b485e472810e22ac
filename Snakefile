# From a folder of WAV files to VGGish log-mel spectrograms, label by label:
# catalog -> spectrograms -> concatenate, and, where asked for, -> embeddings. See README.md.
from snakemake.utils import min_version

min_version("9.27")


configfile: "config.yaml"


include: "rules/common.smk"
include: "rules/catalog.smk"
include: "rules/spectrograms.smk"
include: "rules/concatenate.smk"
include: "rules/embeddings.smk"


wildcard_constraints:
    label="[^/]+",


rule all:
    default_target: True
    input:
        "<results>/wavfile_spec.dat",
        "<results>/wavfile_df.csv",
        "<results>/invalid.csv",
        "<results>/summary.txt",
        # Named here, for Snakemake to notice when one is missing although the files above are not.
        of_all_labels("<results>/catalog/{label}.csv"),
        of_all_labels("<results>/chunks/{label}.csv"),
        of_all_labels("<results>/chunks/{label}.npy"),


onstart:
    open_run()


onsuccess:
    close_run()
