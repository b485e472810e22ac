# The examples, and the stage that makes them.
EXAMPLES, EXAMPLES_STAGE = {
    "spectrograms": ("<results>/wavfile_spec.dat", "concatenate"),
    "embeddings": ("<results>/wavfile_embed.dat", "embed"),
}[config["classifier"]["features"]]


rule classifier:
    """Train and test a classifier of spoken words; on demand."""
    input:
        examples=ancient(EXAMPLES),
        # For the page of doubtful clips.
        spectrograms=ancient("<results>/wavfile_spec.dat"),
        clips=ancient("<results>/wavfile_df.csv"),
        split=ancient("<results>/wavfile_split.csv"),
        stamps=after("concatenate", EXAMPLES_STAGE, "tables"),
    output:
        model="<results>/classifier/model.keras",
        metrics="<results>/classifier/metrics.json",
        predictions="<results>/classifier/predictions.csv",
        history="<results>/classifier/history.csv",
        learning_curve=[
            "<results>/classifier/learning_curve.png",
            shown("classifier/learning_curve.svg", "Classifier", result="Learning curve"),
        ],
        confusion_matrix=[
            "<results>/classifier/confusion_matrix.png",
            shown("classifier/confusion_matrix.svg", "Classifier", result="Confusion matrix"),
        ],
        doubtful=shown("classifier/doubtful.html", "Classifier", result="Doubtful clips, to hear"),
        stamp=stamp(
            "classifier",
            STAMPS[EXAMPLES_STAGE].digest,
            SPLIT,
            config["classifier"],
            on_demand=True,
        ),
    log:
        "<results>/logs/classifier.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # In minutes, at 300 clips per second: the speed of two busy cores.
        runtime=lambda wildcards, attempt: attempt
        * (10 + CLIPS * config["classifier"]["epochs"] // 18_000),
    script:
        "../workflow_scripts/classifier.py"
