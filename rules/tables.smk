from wavspec.lists import lists_digest, read_lists

try:
    LISTS = lists_digest(read_lists(DATASET))
except JobError as error:
    refuse(error)
# Everything that the split depends on. Not the dataset's folder: if it was moved, the tables name
# another folder, but the classifier is not trained again.
SPLIT = [DIGESTS, config["path_pattern"], config["split"], LISTS, made_by("wavspec/sides")]


rule tables:
    """Write the tables of all clips, of their split and of the invalid ones, and the summary."""
    input:
        tables=ALL_TABLES,
    output:
        clips="<results>/wavfile_df.csv",
        split="<results>/wavfile_split.csv",
        invalid="<results>/invalid.csv",
        summary="<results>/summary.txt",
        stamp=stamp("tables", DATASET, SPLIT, WARNINGS),
    log:
        "<results>/logs/tables.log",
    # Takes a second, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: DATASET,
        # The job fails if the lists have changed by then.
        lists=LISTS,
        warnings=lambda wildcards: WARNINGS,
    script:
        "../workflow_scripts/tables.py"
