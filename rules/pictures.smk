rule pictures:
    """Draw pictures of the clips, and write a page of the invalid ones."""
    input:
        tables=all_tables,
        chunks=all_chunks,
    output:
        spectrograms=shown(
            "pictures/spectrograms.svg", "Pictures", picture="A spectrogram of each label"
        ),
        outcomes=shown("pictures/outcomes.svg", "Pictures", picture="Valid and invalid clips"),
        lengths=shown("pictures/lengths.svg", "Pictures", picture="Lengths of the clips"),
        invalid=shown("pictures/invalid.html", "Clips", table="Invalid clips, to search"),
        stamp=RUN.stamp("pictures", CHUNKS, TABLES),
    log:
        "<results>/logs/pictures.log",
    # Takes seconds, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/pictures.yaml"
    params:
        settings=RUN.settings,
    script:
        "../workflow_scripts/pictures.py"
