# The examples, their seal, and what they depend on besides the spectrograms.
EXAMPLES, EXAMPLES_SEAL, MADE_OF = {
    "spectrograms": ("<results>/wavfile_spec.dat", CONCATENATED, ()),
    "embeddings": ("<results>/wavfile_embed.dat", EMBEDDED, (code_digest("embeddings"), *VGGISH)),
}[config["classifier"]["features"]]
# The dataset's path is not in it: a dataset that was moved need not be learnt again.
CLASSIFIED = seal_of("classifier", LABELS, digest_in(SPLIT), MADE_OF, config["classifier"])


rule classifier:
    """A classifier of spoken words, trained and tested; off by default, asked for by its name."""
    input:
        examples_seal=ancient(EXAMPLES_SEAL),
        split_seal=ancient(SPLIT),
        examples=ancient(EXAMPLES),
        clips=ancient("<results>/wavfile_df.csv"),
        split=ancient("<results>/wavfile_split.csv"),
    output:
        model="<results>/classifier/model.keras",
        metrics="<results>/classifier/metrics.json",
        predictions="<results>/classifier/predictions.csv",
        history="<results>/classifier/history.csv",
        learning_curve=[
            "<results>/classifier/learning_curve.png",
            shown("classifier/learning_curve.svg", "Classifier"),
        ],
        confusion_matrix=[
            "<results>/classifier/confusion_matrix.png",
            shown("classifier/confusion_matrix.svg", "Classifier"),
        ],
        seal=CLASSIFIED,
    log:
        "<results>/logs/classifier.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # In minutes, at 600 clips a second: what two busy cores do.
        runtime=lambda wildcards, attempt: attempt
        * (10 + CLIPS * config["classifier"]["epochs"] // 36_000),
    params:
        code=code_digest("classifier"),
        # Not an output: Snakemake would delete it before the job that goes on from it.
        state=f"{RESULTS}/classifier/training.{digest_in(CLASSIFIED)}.npz",
    script:
        "../workflow_scripts/classifier.py"
