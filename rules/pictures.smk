PICTURED = seal_of("pictures", LABELS)


rule pictures:
    """Pictures of what the clips hold and how many are valid, beside the concatenation."""
    input:
        tables=ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv")),
        chunks=ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy")),
    output:
        spectrograms=shown(
            "pictures/spectrograms.svg", "Pictures", picture="A spectrogram of each label"
        ),
        outcomes=shown("pictures/outcomes.svg", "Pictures", picture="Valid and invalid clips"),
        lengths=shown("pictures/lengths.svg", "Pictures", picture="Lengths of the clips"),
        invalid=shown("pictures/invalid.html", "Clips", table="Invalid clips, to search"),
        seal=PICTURED,
    log:
        "<results>/logs/pictures.log",
    # It takes seconds, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/pictures.yaml"
    params:
        code=code_digest("pictures"),
    script:
        "../workflow_scripts/pictures.py"
