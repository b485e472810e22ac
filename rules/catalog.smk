rule catalog:
    output:
        catalog="<results>/catalog/{label}.csv",
    log:
        "<results>/logs/catalog/{label}.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        fingerprint=label_fingerprint,
        folders=label_folders,
    script:
        "../workflow_scripts/catalog.py"
