from pipeline.digests import digest
from wavspec.lists import read_lists

with refusing():
    LISTS = digest(read_lists(RUN.dataset))
# Everything that the split depends on. Not the dataset's folder: if it was moved, the tables name
# another folder, but the classifier is not trained again.
SPLIT = [TABLES, config["path_pattern"], config["split"], LISTS, provenance("wavspec/split")]


rule tables:
    """Write the tables of all clips, of their split and of the invalid ones, and the summary."""
    input:
        tables=all_tables,
    output:
        clips="<results>/wavfile_df.csv",
        split="<results>/wavfile_split.csv",
        invalid="<results>/invalid.csv",
        summary="<results>/summary.txt",
        stamp=RUN.stamp("tables", RUN.dataset, SPLIT, RUN.warnings),
    log:
        "<results>/logs/tables.log",
    # Takes a second, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: RUN.dataset,
        path_pattern=lambda wildcards: config["path_pattern"],
        settings=RUN.settings,
        split=config["split"],
        # The job fails if the lists have changed by then.
        lists=LISTS,
        warnings=lambda wildcards: RUN.warnings,
    script:
        "../workflow_scripts/tables.py"
