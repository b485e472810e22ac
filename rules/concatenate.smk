rule concatenate:
    input:
        catalogs=of_all_labels("<results>/catalog/{label}.csv"),
        tables=of_all_labels("<results>/chunks/{label}.csv"),
        chunks=of_all_labels("<results>/chunks/{label}.npy"),
    output:
        spectrograms="<results>/wavfile_spec.dat",
        clips="<results>/wavfile_df.csv",
        invalid="<results>/invalid.csv",
        summary="<results>/summary.txt",
    log:
        "<results>/logs/concatenate.log",
    conda:
        "../envs/front_end.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        dataset=DATASET,
    script:
        "../workflow_scripts/concatenate.py"
