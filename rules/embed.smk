from wavspec.vggish_files import required_files, state_of

# The checkpoint's content is not in it: it takes a second to read, which every run would wait for.
VGGISH = [state_of(config, key) for key in ("vggish_checkpoint", "vggish_pca")]


rule embed:
    """All valid spectrograms to VGGish embeddings; on demand, as part of `embeddings`."""
    input:
        tables=ALL_TABLES,
        chunks=ALL_CHUNKS,
    output:
        embeddings="<results>/wavfile_embed.dat",
        pca="<results>/wavfile_embed_pca.npy",
        stamp=stamp("embed", DIGESTS, VGGISH, on_demand=True),
    log:
        "<results>/logs/embed.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 16
    resources:
        mem_mb=lambda wildcards, attempt: 2500 * attempt,
        # In minutes, at 33 clips a second: half of what one core embeds.
        runtime=lambda wildcards, attempt: attempt * (10 + CLIPS // 2000),
    params:
        checkpoint=lambda wildcards: required_files(config, "vggish_checkpoint"),
        pca_params=lambda wildcards: required_files(config, "vggish_pca")[0],
        # Not outputs: Snakemake would delete them before a job that embeds only what has changed.
        folder=f"{RESULTS}/embeddings",
    script:
        "../workflow_scripts/embed.py"
