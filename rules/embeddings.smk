from wavspec.run.plan import announced_embeddings
from wavspec.vggish_files import embedding_files, required_files, state_of

# The checkpoint's content is not in it: it takes a second to read, which every run would wait for.
VGGISH = [state_of(config, key) for key in ("vggish_checkpoint", "vggish_pca")]
EMBEDDED = seal_of("embeddings", digest_in(CONCATENATED), LABELS, *VGGISH)


rule embeddings:
    """All valid spectrograms to VGGish embeddings; off by default, asked for by its name."""
    input:
        seal=ancient(CONCATENATED),
        clips=ancient("<results>/wavfile_df.csv"),
        tables=ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv")),
        chunks=ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy")),
    output:
        embeddings="<results>/wavfile_embed.dat",
        pca="<results>/wavfile_embed_pca.npy",
        table="<results>/wavfile_embed.csv",
        seal=EMBEDDED,
    log:
        "<results>/logs/embeddings.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 16
    resources:
        mem_mb=lambda wildcards, attempt: 2500 * attempt,
        # In minutes, at 33 clips a second: half of what one core embeds.
        runtime=lambda wildcards, attempt: attempt * (10 + CLIPS // 2000),
    params:
        code=code_digest("embeddings"),
        checkpoint=lambda wildcards: required_files(config, "vggish_checkpoint"),
        pca_params=lambda wildcards: required_files(config, "vggish_pca")[0],
        # Not outputs, because Snakemake would delete them all before the job. It embeds the labels
        # whose file does not exist, with one process.
        parts=lambda wildcards: announced_embeddings(embedding_files(config, RESULTS, LABELS)),
    script:
        "../workflow_scripts/embeddings.py"
