CONCATENATED = seal_of("concatenate", DATASET, LABELS, digest_in(SPLIT))


rule concatenate:
    """All chunks to `wavfile_spec.dat` and `wavfile_df.csv`, and an account of them."""
    input:
        index=ancient(INDEX),
        split=ancient("<results>/wavfile_split.csv"),
        split_seal=ancient(SPLIT),
        tables=ancient(of_all_labels("<results>/chunks/{label}.{digest}.csv")),
        chunks=ancient(of_all_labels("<results>/chunks/{label}.{digest}.npy")),
    output:
        spectrograms="<results>/wavfile_spec.dat",
        clips="<results>/wavfile_df.csv",
        invalid="<results>/invalid.csv",
        summary=shown("summary.txt", "Clips", table="Summary, to download"),
        seal=CONCATENATED,
    log:
        "<results>/logs/concatenate.log",
    conda:
        "../envs/front_end.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        code=code_digest("concatenate"),
        folders=[f"{RESULTS}/chunks", f"{RESULTS}/logs/spectrograms"],
    script:
        "../workflow_scripts/concatenate.py"
