rule catalog:
    """The dataset to a catalog of each label's clips, and a table of the labels."""
    output:
        catalogs=of_all_labels("<results>/catalog/{label}.{digest}.csv"),
        labels="<results>/catalog.csv",
        stamp=stamp("catalog", LABELS),
    log:
        "<results>/logs/catalog.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    script:
        "../workflow_scripts/catalog.py"
