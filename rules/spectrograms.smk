rule spectrograms:
    """A label's clips to a chunk of spectrograms, and a table of which are valid and why."""
    input:
        catalog=ancient("<results>/catalog/{label}.{digest}.csv"),
    output:
        chunk="<results>/chunks/{label}.{digest}.npy",
        table="<results>/chunks/{label}.{digest}.csv",
    log:
        "<results>/logs/spectrograms/{label}.{digest}.log",
    conda:
        "../envs/front_end.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    script:
        "../workflow_scripts/spectrograms.py"
