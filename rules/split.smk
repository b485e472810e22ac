from wavspec.lists import lists_digest, read_lists

# The job ends if the lists are others by then.
LISTS = decided("lists", lambda: lists_digest(read_lists(DATASET)))


rule split:
    """The labels' tables to the speaker of each clip, and its side of training and testing."""
    input:
        tables=ALL_TABLES,
    output:
        split="<results>/wavfile_split.csv",
        stamp=stamp(
            "split",
            LABELS,
            config["path_pattern"],
            config["split"],
            LISTS,
        ),
    log:
        "<results>/logs/split.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        lists=LISTS,
    script:
        "../workflow_scripts/split.py"
