rule evaluate:
    """Measure the classifier, draw pictures, and write a page of label issues; on demand."""
    input:
        # Not ancient: after `-R train`, this must follow.
        facts="<results>/classifier/training.json",
        history=ancient("<results>/classifier/history.csv"),
        examples=ancient("<results>/classifier/examples.csv"),
        probabilities=ancient("<results>/classifier/probabilities.npy"),
        early=ancient("<results>/classifier/early_probabilities.npy"),
        clips=ancient("<results>/wavfile_df.csv"),
        split=ancient("<results>/wavfile_split.csv"),
        spectrograms=ancient("<results>/wavfile_spec.dat"),
        stamps=after("train", "tables", "concatenate"),
    output:
        metrics="<results>/classifier/metrics.json",
        predictions="<results>/classifier/predictions.csv",
        learning_curve=[
            "<results>/classifier/learning_curve.png",
            shown("classifier/learning_curve.svg", "Classifier", result="Learning curve"),
        ],
        confusion_matrix=[
            "<results>/classifier/confusion_matrix.png",
            shown("classifier/confusion_matrix.svg", "Classifier", result="Confusion matrix"),
        ],
        label_issues_table="<results>/classifier/label_issues.csv",
        label_issues=shown(
            "classifier/label_issues.html", "Classifier", result="Label issues, to hear"
        ),
        # The tables have the paths of the clips, which the page reads.
        stamp=RUN.stamp(
            "evaluate", RUN.stamps["train"].path, RUN.stamps["tables"].path, on_demand="classifier"
        ),
    log:
        "<results>/logs/evaluate.log",
    # Takes seconds, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/pictures.yaml"
    script:
        "../workflow_scripts/evaluate.py"


rule classifier:
    """Train and evaluate the classifier; on demand."""
    input:
        RUN.stamps["evaluate"].path,
