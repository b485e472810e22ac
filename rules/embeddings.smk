# Off by default; asked for by its name: snakemake --cores 2 embeddings
rule embeddings:
    input:
        catalogs=of_all_labels("<results>/catalog/{label}.csv"),
        tables=of_all_labels("<results>/chunks/{label}.csv"),
        chunks=of_all_labels("<results>/chunks/{label}.npy"),
        clips="<results>/wavfile_df.csv",
        checkpoint=lambda wildcards: vggish_files("vggish_checkpoint"),
        pca_params=lambda wildcards: vggish_files("vggish_pca")[0],
    output:
        embeddings="<results>/wavfile_embed.npy",
        pca="<results>/wavfile_embed_pca.npy",
        table="<results>/wavfile_embed.csv",
    log:
        "<results>/logs/embeddings.log",
    conda:
        "../envs/embeddings.yaml"
    threads: 16
    resources:
        mem_mb=2500,
    params:
        # Not outputs: Snakemake deletes those before the job, and these spare it the labels that
        # did not change, or that a killed run had done.
        parts=f"{RESULTS}/embeddings",
        # All that a kept number depends on, besides the spectrogram and the weights.
        network_version=digest_of("vggish.py", "../envs/embeddings.yaml"),
    script:
        "../workflow_scripts/embeddings.py"
