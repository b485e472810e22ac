rule spectrograms:
    """Compute a chunk of a label's spectrograms, and a table with the outcome of each clip."""
    input:
        # One job writes all catalogs. Without ancient, every label would run after it.
        catalog=ancient("<results>/catalog/{label}.{digest}.csv"),
    output:
        chunk="<results>/chunks/{label}.{digest}.npy",
        table="<results>/chunks/{label}.{digest}.csv",
    log:
        "<results>/logs/spectrograms/{label}.{digest}.log",
    conda:
        "../envs/front_end.yaml"
    # One for every label of Speech Commands, because labels run in parallel. More for a very large
    # label, which would otherwise run on one core when the others are done. One if clips are cut,
    # because each of them begins at the row after the last one's examples.
    threads: lambda wildcards: RUN.labels[wildcards.label].threads(RUN.settings)
    resources:
        # The number of labels to run at once in a submission to a cluster, see slurm/config.yaml.
        labels_at_once=1,
        mem_mb=lambda wildcards, attempt: attempt * 1000,
        runtime=lambda wildcards, attempt: attempt
        * RUN.labels[wildcards.label].minutes(RUN.settings),
    params:
        # Functions, because Snakemake would read braces in a folder's name as wildcards. With
        # `input`, because it does not record such parameters: where it compares them (the profile
        # switches that off, but not for a module), a moved dataset would run all labels again.
        script=lambda wildcards, input: f"{PROJECT}/workflow_scripts/spectrograms.py",
        dataset=lambda wildcards, input: RUN.dataset,
        short_clips=config["short_clips"],
        long_clips=config["long_clips"],
        hop=RUN.settings["hop"],
    # Not a `script:`, whose start takes 0.1 s longer: a third of the time of a small label.
    shell:
        "python {params.script:q} --dataset {params.dataset:q} --catalog {input.catalog:q}"
        " --chunk {output.chunk:q} --table {output.table:q} --short-clips {params.short_clips}"
        " --long-clips {params.long_clips} --hop {params.hop} --threads {threads} --log {log:q}"
        " > {log:q} 2>&1"
