rule catalog:
    """The dataset to a catalog of each label's clips, and an index of the labels."""
    output:
        catalogs=of_all_labels("<results>/catalog/{label}.{digest}.csv"),
        index=INDEX,
    log:
        "<results>/logs/catalog.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    script:
        "../workflow_scripts/catalog.py"
