rule catalog:
    output:
        catalog="<results>/catalog/{label}.csv",
    log:
        "<results>/logs/catalog/{label}.log",
    # All of them first: the largest labels are then begun first, and the cores end together.
    priority: 1
    localrule: True
    conda:
        "../envs/front_end.yaml"
    params:
        fingerprint=lambda wildcards: state_of(wildcards.label)[0],
        folders=lambda wildcards: state_of(wildcards.label)[1],
    script:
        "../workflow_scripts/catalog.py"
