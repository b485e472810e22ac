rule embeddings:
    """The table of all clips with their embeddings; on demand."""
    input:
        clips="<results>/wavfile_df.csv",
        embeddings="<results>/wavfile_embed.dat",
        stamps=after("tables", "embed"),
    output:
        table="<results>/wavfile_embed.csv",
        stamp=stamp("embeddings", STAMPS["tables"].digest, STAMPS["embed"].digest, on_demand=True),
    log:
        "<results>/logs/embeddings.log",
    localrule: True
    conda:
        "../envs/tensorflow.yaml"
    script:
        "../workflow_scripts/embeddings.py"
