# Evaluation. In: the held-out RL tasks and the models. Out: results/eval/table.parquet, the models side by side.


rule eval_generate:
    input:
        tasks=f"{RESULTS}/rl/parquet/rl_val.parquet",
        model=manifest_of,
    output:
        table=f"{RESULTS}/eval/generate/{{model}}.parquet",
        ledger=f"{RESULTS}/eval/generate/{{model}}.ledger.parquet",
    log:
        "logs/eval/generate/{model}.log",
    benchmark:
        "benchmarks/eval/generate/{model}.tsv"
    container:
        image("train")
    threads: 8
    resources:
        mem_mb=growing(64000),
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/generate", BASE),
        model=lambda wildcards: MODELS[wildcards.model],
    message:
        "eval/generate: answers of {wildcards.model}"
    shell:
        "artifactscoder eval generate --config {params.config:q} --input {input.tasks:q}"
        " --model {params.model:q} --name {wildcards.model} --output {output.table:q} 2> {log:q}"


rule eval_render:
    input:
        table=rules.eval_generate.output.table,
    output:
        table=f"{RESULTS}/eval/render/{{model}}.parquet",
        ledger=f"{RESULTS}/eval/render/{{model}}.ledger.parquet",
    log:
        "logs/eval/render/{model}.log",
    benchmark:
        "benchmarks/eval/render/{model}.tsv"
    container:
        image("render")
    threads: 8
    resources:
        mem_mb=growing(16000),
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/render"),
    message:
        "eval/render: answers of {wildcards.model} rendered"
    shell:
        "artifactscoder eval render --config {params.config:q} --input {input.table:q}"
        " --name {wildcards.model} --browsers {threads} --output {output.table:q} 2> {log:q}"


rule eval_judge:
    input:
        table=rules.eval_render.output.table,
    output:
        table=f"{RESULTS}/eval/judge/{{model}}.parquet",
        ledger=f"{RESULTS}/eval/judge/{{model}}.ledger.parquet",
    log:
        "logs/eval/judge/{model}.log",
    benchmark:
        "benchmarks/eval/judge/{model}.tsv"
    container:
        image("data", "eval/judge")
    resources:
        **asking("eval/judge", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/judge"),
    message:
        "eval/judge: answers of {wildcards.model} judged"
    shell:
        "artifactscoder eval judge --config {params.config:q} --input {input.table:q}"
        " --name {wildcards.model} --output {output.table:q} 2> {log:q}"


rule eval_table:
    input:
        tables=expand(rules.eval_judge.output.table, model=CONFIG.eval.models),
    output:
        table=f"{RESULTS}/eval/table.parquet",
    log:
        "logs/eval/table.log",
    benchmark:
        "benchmarks/eval/table.tsv"
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/table"),
    message:
        "eval/table: the models side by side"
    shell:
        "artifactscoder eval table --config {params.config:q} --input {input.tables:q}"
        " --output {output.table:q} 2> {log:q}"
