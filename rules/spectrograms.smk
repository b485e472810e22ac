rule spectrograms:
    """A label's clips to a chunk of spectrograms, and a table of which are valid and why."""
    input:
        # One job makes all catalogs, and every label would follow it.
        catalog=ancient("<results>/catalog/{label}.{digest}.csv"),
    output:
        chunk="<results>/chunks/{label}.{digest}.npy",
        table="<results>/chunks/{label}.{digest}.csv",
    log:
        "<results>/logs/spectrograms/{label}.{digest}.log",
    conda:
        "../envs/front_end.yaml"
    # One for every label of Speech Commands: labels are worked on at once. Only a very large one
    # would keep a core busy alone when the others are done.
    threads: lambda wildcards: min(16, 1 + len(LABELS[wildcards.label].clips) // 10_000)
    resources:
        # How many of these a submission to a cluster works on, see slurm/config.yaml.
        labels_at_once=1,
        # Up to 1.2 GB for a clip of 23 minutes at 48 kHz, the longest that is cut.
        mem_mb=lambda wildcards, attempt: attempt
        * (2000 if config["long_clips"] == "cut" else 1000),
        runtime=lambda wildcards, attempt: attempt * LABELS[wildcards.label].minutes(),
    params:
        script=f"{SCRIPTS}/spectrograms.py",
        # A function, because Snakemake would take braces in the folder's name for wildcards.
        dataset=lambda wildcards: DATASET,
        short_clips=config["short_clips"],
        long_clips=config["long_clips"],
    # Not a `script:`, whose start takes 0.1 s longer: a third of what a small label takes.
    shell:
        "python {params.script:q} --dataset {params.dataset:q} --catalog {input.catalog:q}"
        " --chunk {output.chunk:q} --table {output.table:q} --short-clips {params.short_clips}"
        " --long-clips {params.long_clips} --threads {threads} --log {log:q} > {log:q} 2>&1"
