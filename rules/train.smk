# The examples, and the stage that makes them.
EXAMPLES, EXAMPLES_STAGE, DEPENDS = {
    "spectrograms": ("<results>/wavfile_spec.dat", "concatenate", CHUNKS),
    "embeddings": ("<results>/wavfile_embed.dat", "embeddings", EMBEDDINGS),
}[config["classifier"]["features"]]


rule train:
    """Train the classifier; on demand."""
    input:
        tables=all_tables,
        examples=ancient(EXAMPLES),
        split=ancient("<results>/wavfile_split.csv"),
        # The tables' stamp depends on the dataset's folder: if that was moved, the tables are due,
        # but the training is not.
        stamps=lambda wildcards: (
            [] if os.path.exists(RUN.stamps["train"].path) else after(EXAMPLES_STAGE, "tables")
        ),
    output:
        model=kept("classifier/model.keras"),
        tflite=kept("classifier/model.tflite"),
        labels=kept("classifier/labels.txt"),
        facts=kept("classifier/training.json"),
        history=kept("classifier/history.csv"),
        examples=kept("classifier/examples.csv"),
        probabilities=kept("classifier/probabilities.npy"),
        early=kept("classifier/early_probabilities.npy"),
        stamp=RUN.stamp("train", DEPENDS, SPLIT, config["classifier"], on_demand="classifier"),
    log:
        "<results>/logs/train.log",
    conda:
        "../envs/tensorflow.yaml"
    threads: 8
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        # In minutes, at 300 examples per second: the speed of two busy cores.
        runtime=lambda wildcards, attempt: attempt
        * (10 + RUN.examples * config["classifier"]["epochs"] // 18_000),
    params:
        dataset=lambda wildcards: RUN.dataset,
        settings=RUN.settings,
        split=config["split"],
        classifier=config["classifier"],
    script:
        "../workflow_scripts/train.py"
