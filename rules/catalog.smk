rule catalog:
    output:
        catalog="<results>/catalog/{label}.csv",
    log:
        "<results>/logs/catalog/{label}.log",
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        fingerprint=lambda wildcards: state_of(wildcards.label)[0],
        folders=lambda wildcards: state_of(wildcards.label)[1],
    script:
        "../workflow_scripts/catalog.py"
