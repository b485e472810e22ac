from pipeline.digests import digest
from wavspec.clips_table import ANY_PATH
from wavspec.lists import read_lists

with refusing():
    LISTS_DIGEST = digest(read_lists(RUN.dataset))
PATH_PATTERN = ANY_PATH if RUN.table else config["path_pattern"]
# Of the clips table, the split depends on these columns. All others are only in its file.
GIVEN_DIGEST = digest([RUN.found.columns.get(name) for name in ("speaker", "split")])
FOUND_DIGEST = digest(RUN.found.left_out, RUN.found.columns)
# Everything that the split depends on. Not the dataset's folder: if it was moved, the tables name
# another folder, but the classifier is not trained again.
SPLIT = [TABLES, PATH_PATTERN, config["split"], LISTS_DIGEST, GIVEN_DIGEST]
SPLIT.append(provenance("wavspec/split"))


rule tables:
    """Write the tables of all clips, of their split and of the invalid ones, and the summary."""
    input:
        tables=all_tables,
    output:
        clips="<results>/wavfile_df.csv",
        split="<results>/wavfile_split.csv",
        invalid="<results>/invalid.csv",
        left_out="<results>/left_out.csv",
        summary="<results>/summary.txt",
        stamp=RUN.stamp("tables", RUN.dataset, SPLIT, FOUND_DIGEST, RUN.warnings),
    log:
        "<results>/logs/tables.log",
    # Takes a second, less than a submission to a cluster.
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: RUN.dataset,
        path_pattern=lambda wildcards: PATH_PATTERN,
        clips=lambda wildcards: RUN.table,
        settings=RUN.settings,
        split=config["split"],
        # The job fails if the lists, the table or the files have changed by then.
        lists=LISTS_DIGEST,
        found=FOUND_DIGEST,
        warnings=lambda wildcards: RUN.warnings,
    script:
        "../workflow_scripts/tables.py"
