rule embeddings:
    """Write the table of all clips with their embeddings; on demand."""
    input:
        clips="<results>/wavfile_df.csv",
        embeddings="<results>/wavfile_embed.dat",
        stamps=after("tables", "embed"),
    output:
        table="<results>/wavfile_embed.csv",
        # The name of embed's stamp also changes if an output of embed is damaged. With the digest
        # alone, this table would stay up to date, and Snakemake would not run embed.
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
