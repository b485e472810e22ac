rule pictures:
    """Pictures of what the clips hold and how many are valid, beside the array."""
    input:
        tables=ALL_TABLES,
        chunks=ALL_CHUNKS,
    output:
        spectrograms=shown(
            "pictures/spectrograms.svg", "Pictures", picture="A spectrogram of each label"
        ),
        outcomes=shown("pictures/outcomes.svg", "Pictures", picture="Valid and invalid clips"),
        lengths=shown("pictures/lengths.svg", "Pictures", picture="Lengths of the clips"),
        invalid=shown("pictures/invalid.html", "Clips", table="Invalid clips, to search"),
        stamp=stamp("pictures", DIGESTS),
    log:
        "<results>/logs/pictures.log",
    # It takes seconds, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/pictures.yaml"
    script:
        "../workflow_scripts/pictures.py"
