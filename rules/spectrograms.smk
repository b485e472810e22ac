rule spectrograms:
    input:
        catalog="<results>/catalog/{label}.csv",
    output:
        chunk="<results>/chunks/{label}.npy",
        table="<results>/chunks/{label}.csv",
    log:
        "<results>/logs/spectrograms/{label}.log",
    conda:
        "../envs/front_end.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        # Snakemake looks at the script's mtime alone, and a module that it imports would be missed.
        code=digest_of("front_end.py", "spectrograms.py"),
    script:
        "../workflow_scripts/spectrograms.py"
