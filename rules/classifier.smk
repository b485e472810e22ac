# The examples, and the stage that makes them.
EXAMPLES, EXAMPLES_STAGE, DEPENDS = {
    "spectrograms": ("<results>/wavfile_spec.dat", "concatenate", CHUNKS),
    "embeddings": ("<results>/wavfile_embed.dat", "embeddings", EMBEDDINGS),
}[config["classifier"]["features"]]


rule classifier:
    """Train and test a classifier of spoken words; on demand."""
    input:
        examples=ancient(EXAMPLES),
        # For the page of label issues.
        spectrograms=ancient("<results>/wavfile_spec.dat"),
        clips=ancient("<results>/wavfile_df.csv"),
        split=ancient("<results>/wavfile_split.csv"),
        stamps=after("concatenate", EXAMPLES_STAGE, "tables"),
    output:
        # With `update`, a run that fails keeps the last classifier. Other outputs are deleted first.
        model=update("<results>/classifier/model.keras"),
        metrics=update("<results>/classifier/metrics.json"),
        predictions=update("<results>/classifier/predictions.csv"),
        history=update("<results>/classifier/history.csv"),
        learning_curve=[
            update("<results>/classifier/learning_curve.png"),
            update(shown("classifier/learning_curve.svg", "Classifier", result="Learning curve")),
        ],
        confusion_matrix=[
            update("<results>/classifier/confusion_matrix.png"),
            update(
                shown("classifier/confusion_matrix.svg", "Classifier", result="Confusion matrix")
            ),
        ],
        label_issues_table=update("<results>/classifier/label_issues.csv"),
        label_issues=update(
            shown("classifier/label_issues.html", "Classifier", result="Label issues, to hear")
        ),
        stamp=RUN.stamp("classifier", DEPENDS, SPLIT, config["classifier"], on_demand=True),
    log:
        "<results>/logs/classifier.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # In minutes, at 300 examples per second: the speed of two busy cores.
        runtime=lambda wildcards, attempt: attempt
        * (10 + RUN.examples * config["classifier"]["epochs"] // 18_000),
    params:
        config=config,
    script:
        "../workflow_scripts/classifier.py"
