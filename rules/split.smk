# The lists decide the split, where they are, so that their content is part of the seal.
SPLIT_LISTS = [f"{DATASET}/validation_list.txt", f"{DATASET}/testing_list.txt"]
SPLIT = seal_of(
    "split", LABELS, config["split"], content_digest(*filter(os.path.isfile, SPLIT_LISTS))
)


rule split:
    """The catalogs to the speaker of each clip, and its side: training, validation or testing."""
    input:
        index=ancient(INDEX),
        catalogs=ancient(of_all_labels("<results>/catalog/{label}.{digest}.csv")),
    output:
        split="<results>/wavfile_split.csv",
        seal=SPLIT,
    log:
        "<results>/logs/split.log",
    # This job starts first, because a label's job removes a catalog that it refuses. Without that
    # input Snakemake would end the whole run.
    priority: 1
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        code=code_digest("split"),
    script:
        "../workflow_scripts/split.py"
