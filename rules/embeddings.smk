from wavspec.vggish_files import required_files, state_of

# Sizes and times, not the content: reading the checkpoint would add a second to every run.
VGGISH = [state_of(config, key) for key in ("vggish_checkpoint", "vggish_pca")]
# What the embeddings depend on. Not the dataset's folder, which is only in their table.
EMBEDDINGS = [CHUNKS, VGGISH, provenance("embeddings")]


rule embeddings:
    """Compute the VGGish embeddings of all valid spectrograms, and a table of them; on demand."""
    input:
        tables=all_tables,
        chunks=all_chunks,
    output:
        embeddings="<results>/wavfile_embed.dat",
        pca="<results>/wavfile_embed_pca.npy",
        table="<results>/wavfile_embed.csv",
        stamp=RUN.stamp("embeddings", EMBEDDINGS, TABLES, RUN.dataset, on_demand="embeddings"),
    log:
        "<results>/logs/embeddings.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 16
    resources:
        mem_mb=lambda wildcards, attempt: 2500 * attempt,
        # In minutes, at 33 examples per second: half the speed of one core.
        runtime=lambda wildcards, attempt: attempt * (10 + RUN.examples // 2000),
    params:
        dataset=lambda wildcards: RUN.dataset,
        settings=RUN.settings,
        checkpoint=lambda wildcards: refusing()(required_files)(config, "vggish_checkpoint"),
        pca_params=lambda wildcards: refusing()(required_files)(config, "vggish_pca")[0],
        # Not outputs: Snakemake would delete them before the job, which reuses unchanged labels.
        folder=f"{RUN.results}/embeddings",
    script:
        "../workflow_scripts/embeddings.py"
