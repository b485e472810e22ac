rule embeddings:
    """The table of all clips with their embeddings; on demand."""
    input:
        clips="<results>/wavfile_df.csv",
        embeddings="<results>/wavfile_embed.dat",
        stamps=after("tables", "embed"),
    output:
        table="<results>/wavfile_embed.csv",
        # The name of embed's stamp: it also changes when a damaged output is to be made again,
        # which Snakemake would not look for as long as this table is there.
        stamp=stamp(
            "embeddings",
            STAMPS["tables"].digest,
            os.path.basename(STAMPS["embed"].path),
            on_demand=True,
        ),
    log:
        "<results>/logs/embeddings.log",
    localrule: True
    conda:
        "../envs/tensorflow.yaml"
    script:
        "../workflow_scripts/embeddings.py"
