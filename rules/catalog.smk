rule catalog:
    """Write a catalog of each label's clips, and a table of the labels."""
    output:
        catalogs=RUN.files("catalog/{label}.{digest}.csv"),
        labels="<results>/catalog.csv",
        provenance="<results>/catalog.json",
        stamp=RUN.stamp("catalog", RUN.files("catalog/{label}.{digest}.csv")),
    log:
        "<results>/logs/catalog.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        dataset=lambda wildcards: RUN.dataset,
        path_pattern=lambda wildcards: config["path_pattern"],
        clips=lambda wildcards: RUN.table,
        provenance=RUN.provenance,
    script:
        "../workflow_scripts/catalog.py"
