# The examples, and the stage that makes them.
EXAMPLES, EXAMPLES_STAGE, DEPENDS = {
    "spectrograms": ("<results>/wavfile_spec.dat", "concatenate", CHUNKS),
    "embeddings": ("<results>/wavfile_embed.dat", "embeddings", EMBEDDINGS),
}[config["classifier"]["features"]]


def kept(file):
    """Return an output of `file` below the results that stays as it was if the job fails."""
    # Without a file to restore, Snakemake would print a warning about it.
    exists = os.path.exists(f"{RUN.results}/{file}")
    return (update if exists else str)(f"<results>/{file}")


def before_training(wildcards):
    """Return the stamps of the stages that training needs, or none if it is up to date."""
    # The tables' stamp depends on the dataset's folder: if that was moved, the tables are due, but
    # the training is not.
    due = not os.path.exists(RUN.stamps["train"].path)
    return after(EXAMPLES_STAGE, "tables") if due else []


rule train:
    """Train the classifier; on demand."""
    input:
        tables=all_tables,
        examples=ancient(EXAMPLES),
        split=ancient("<results>/wavfile_split.csv"),
        stamps=before_training,
    output:
        model=kept("classifier/model.keras"),
        tflite=kept("classifier/model.tflite"),
        labels=kept("classifier/labels.txt"),
        facts=kept("classifier/training.json"),
        history=kept("classifier/history.csv"),
        examples=kept("classifier/examples.csv"),
        probabilities=kept("classifier/probabilities.npy"),
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
