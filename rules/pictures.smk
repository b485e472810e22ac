PICTURED = seal_of("pictures", LABELS)


rule pictures:
    """Pictures of what the clips hold and how many are valid, beside the concatenation."""
    input:
        tables=ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv")),
        chunks=ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy")),
    output:
        spectrograms=report(
            "<results>/pictures/spectrograms.svg",
            caption="../report/spectrograms.rst",
            category="Pictures",
            labels={"picture": "A spectrogram of each label"},
        ),
        outcomes=report(
            "<results>/pictures/outcomes.svg",
            caption="../report/outcomes.rst",
            category="Pictures",
            labels={"picture": "Valid and invalid clips"},
        ),
        lengths=report(
            "<results>/pictures/lengths.svg",
            caption="../report/lengths.rst",
            category="Pictures",
            labels={"picture": "Lengths of the clips"},
        ),
        invalid=report(
            "<results>/pictures/invalid.html",
            caption="../report/invalid.rst",
            category="Clips",
            labels={"table": "Invalid clips, to search"},
        ),
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
