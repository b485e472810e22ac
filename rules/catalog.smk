rule catalog:
    """Write a catalog of each label's clips, and a table of the labels."""
    output:
        catalogs=of_all_labels("<results>/catalog/{label}.{digest}.csv"),
        labels="<results>/catalog.csv",
        made_by="<results>/catalog.json",
        stamp=stamp("catalog", DIGESTS),
    log:
        "<results>/logs/catalog.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: DATASET,
        made_by=MADE_BY,
    script:
        "../workflow_scripts/catalog.py"
