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
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        # In minutes. A core makes 4,000 examples a second from a warm disk. This allows for 133, as a
        # cold network disk may give, or clips that must be resampled.
        runtime=lambda wildcards, attempt: attempt
        * (2 + len(LABELS[wildcards.label].clips) // 8000),
    params:
        script=f"{SCRIPTS}/spectrograms.py",
        # A function, because Snakemake would take braces in the folder's name for wildcards.
        dataset=lambda wildcards: DATASET,
        short_clips=config["short_clips"],
    # Not a `script:`, whose start takes 0.1 s longer: a third of what a small label takes.
    shell:
        "python {params.script:q} {params.dataset:q} {params.short_clips} {threads}"
        " {input:q} {output:q} {log:q} > {log:q} 2>&1"
