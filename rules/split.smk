# The lists decide the split, where they are. Their content is part of the stamp.
SPLIT_LISTS = [f"{DATASET}/validation_list.txt", f"{DATASET}/testing_list.txt"]


rule split:
    """The labels' tables to the speaker of each clip, and its side of training and testing."""
    input:
        tables=ALL_TABLES,
    output:
        split="<results>/wavfile_split.csv",
        stamp=stamp(
            "split",
            LABELS,
            config["split"],
            content_digest(*filter(os.path.isfile, SPLIT_LISTS)),
        ),
    log:
        "<results>/logs/split.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    script:
        "../workflow_scripts/split.py"
