# The lists decide the split, where they are, so that their content is part of the seal.
SPLIT_LISTS = [f"{DATASET}/validation_list.txt", f"{DATASET}/testing_list.txt"]
SPLIT = seal_of(
    "split", LABELS, config["split"], content_digest(*filter(os.path.isfile, SPLIT_LISTS))
)


rule split:
    """The catalogs to the speaker of each clip, and its side: training, validation or testing."""
    input:
        index=ancient(INDEX),
    output:
        split="<results>/wavfile_split.csv",
        seal=SPLIT,
    log:
        "<results>/logs/split.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        code=code_digest("split"),
        # A label's job removes a catalog that it refuses. If the catalogs were inputs, that would end
        # the whole run. The index stands for them, because it is written last.
        catalogs=of_all_labels(f"{RESULTS}/catalog/{{label}}.{{digest}}.csv"),
    script:
        "../workflow_scripts/split.py"
