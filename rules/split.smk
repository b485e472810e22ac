from wavspec.lists import lists_digest, read_lists

try:
    LISTS = lists_digest(read_lists(DATASET))
except JobError as error:
    refuse(error)


rule split:
    """Write the speaker of each clip, and whether it is for training, validation or testing."""
    input:
        tables=ALL_TABLES,
    output:
        split="<results>/wavfile_split.csv",
        stamp=stamp("split", DIGESTS, config["path_pattern"], config["split"], LISTS),
    log:
        "<results>/logs/split.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: DATASET,
        # The job fails if the lists have changed by then.
        lists=LISTS,
    script:
        "../workflow_scripts/split.py"
