from wavspec.vggish_files import required_files, state_of

# Sizes and times, not the content: reading the checkpoint would add a second to every run.
VGGISH = [state_of(config, key) for key in ("vggish_checkpoint", "vggish_pca")]


rule embed:
    """Compute the VGGish embeddings of all valid spectrograms; on demand, for `embeddings`."""
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
        # In minutes, at 33 clips per second: half the speed of one core.
        runtime=lambda wildcards, attempt: attempt * (10 + CLIPS // 2000),
    params:
        checkpoint=lambda wildcards: required_files(config, "vggish_checkpoint"),
        pca_params=lambda wildcards: required_files(config, "vggish_pca")[0],
        # Not outputs: Snakemake would delete them before the job, which reuses unchanged labels.
        folder=f"{RESULTS}/embeddings",
    script:
        "../workflow_scripts/embed.py"
