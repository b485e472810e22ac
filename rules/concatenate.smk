rule concatenate:
    """Concatenate all chunks into `wavfile_spec.dat`."""
    input:
        chunks=all_chunks,
    output:
        spectrograms="<results>/wavfile_spec.dat",
        stamp=RUN.stamp("concatenate", CHUNKS),
    log:
        "<results>/logs/concatenate.log",
    conda:
        "../envs/front_end.yaml"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    script:
        "../workflow_scripts/concatenate.py"
