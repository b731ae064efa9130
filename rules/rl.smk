# RL data. In: task families and tech stacks. Out: results/rl/parquet/{rl_train,rl_val}.parquet.


rule rl_prompts:
    output:
        table=f"{RESULTS}/rl/prompts/prompts.parquet",
        ledger=f"{RESULTS}/rl/prompts/prompts.ledger.parquet",
    log:
        "logs/rl/prompts.log",
    benchmark:
        "benchmarks/rl/prompts.tsv"
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        recipe=digest("rl/prompts", SEED_ROWS["rl"], BENCHMARKS),
    message:
        "rl/prompts: task families times tech stacks"
    shell:
        "artifactscoder rl prompts --config {params.config:q} --output {output.table:q} 2> {log:q}"


rule rl_reference:
    input:
        table=rules.rl_prompts.output.table,
    output:
        table=f"{RESULTS}/rl/reference/pages.parquet",
        ledger=f"{RESULTS}/rl/reference/pages.ledger.parquet",
    log:
        "logs/rl/reference.log",
    benchmark:
        "benchmarks/rl/reference.tsv"
    container:
        image("data", "rl/reference")
    resources:
        **asking("rl/reference", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("rl/reference"),
    message:
        "rl/reference: a reference page for each prompt"
    shell:
        "artifactscoder rl reference --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


rule rl_valid:
    input:
        table=rules.rl_reference.output.table,
    output:
        table=f"{RESULTS}/rl/valid/pages.parquet",
        ledger=f"{RESULTS}/rl/valid/pages.ledger.parquet",
    log:
        "logs/rl/valid.log",
    benchmark:
        "benchmarks/rl/valid.tsv"
    container:
        image("render")
    threads: 8
    resources:
        mem_mb=growing(16000),
    params:
        config=CONFIG_FILE,
        recipe=digest("rl/valid"),
    message:
        "rl/valid: reference pages rendered and checked"
    shell:
        "artifactscoder rl valid --config {params.config:q} --input {input.table:q}"
        " --browsers {threads} --output {output.table:q} 2> {log:q}"


rule rl_parquet:
    input:
        prompts=rules.rl_prompts.output.table,
        valid=rules.rl_valid.output.table,
    output:
        train=f"{RESULTS}/rl/parquet/rl_train.parquet",
        val=f"{RESULTS}/rl/parquet/rl_val.parquet",
        ledger=f"{RESULTS}/rl/parquet/rl.ledger.parquet",
    log:
        "logs/rl/parquet.log",
    benchmark:
        "benchmarks/rl/parquet.tsv"
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        recipe=digest("rl/parquet"),
    message:
        "rl/parquet: training and validation rows"
    shell:
        "artifactscoder rl parquet --config {params.config:q} --prompts {input.prompts:q}"
        " --valid {input.valid:q} --train {output.train:q} --val {output.val:q} 2> {log:q}"
