rule tables:
    """Write `wavfile_df.csv`, the table of invalid clips, and the summary."""
    input:
        tables=ALL_TABLES,
        split="<results>/wavfile_split.csv",
        stamps=after("split"),
    output:
        clips="<results>/wavfile_df.csv",
        invalid="<results>/invalid.csv",
        summary="<results>/summary.txt",
        stamp=stamp("tables", DIGESTS, DATASET, STAMPS["split"].digest, WARNINGS),
    log:
        "<results>/logs/tables.log",
    # Takes a second, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: DATASET,
        warnings=lambda wildcards: WARNINGS,
    script:
        "../workflow_scripts/tables.py"
