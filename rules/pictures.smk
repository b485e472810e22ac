rule pictures:
    """Draw pictures of the clips, and write a page of the invalid ones."""
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
    # Takes seconds, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/pictures.yaml"
    script:
        "../workflow_scripts/pictures.py"
