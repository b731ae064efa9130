# Evaluation. In: the tasks (held out, or of benchmark files) and the models. Out: results/eval/table.parquet and its
# companions, the models side by side.


rule eval_tasks:
    input:
        files=list(CONFIG.eval.files.values()),
        val=f"{RESULTS}/rl/parquet/rl_val.parquet" if CONFIG.eval.held_out else [],
    output:
        table=f"{RESULTS}/eval/tasks/tasks.parquet",
        ledger=f"{RESULTS}/eval/tasks/tasks.ledger.parquet",
    log:
        "logs/eval/tasks.log",
    benchmark:
        "benchmarks/eval/tasks.tsv"
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/tasks", EVAL_FILES),
        val=lambda wildcards, input: (
            f"--val {shlex.quote(str(input.val))}" if input.val else ""
        ),
    message:
        "eval/tasks: what the models are compared on"
    shell:
        "artifactscoder eval tasks --config {params.config:q} {params.val} --output {output.table:q} 2> {log:q}"


# base, sft and grpo: by transformers in the job, or by a vLLM that the job starts.
rule eval_generate:
    input:
        tasks=rules.eval_tasks.output.table,
        model=manifest_of,
    output:
        table=f"{RESULTS}/eval/generate/{{model,{'|'.join(EVALUATED)}}}.parquet",
        ledger=f"{RESULTS}/eval/generate/{{model}}.ledger.parquet",
    log:
        "logs/eval/generate/{model}.log",
    benchmark:
        "benchmarks/eval/generate/{model}.tsv"
    container:
        image("serve" if CONFIG.eval.serves else "train")
    threads: 8
    resources:
        **answering(mem_mb=64000),
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/generate", BASE, BASE_STATE),
        model=lambda wildcards: MODELS[wildcards.model],
    message:
        "eval/generate: answers of {wildcards.model}"
    shell:
        "artifactscoder eval generate --config {params.config:q} --input {input.tasks:q}"
        " --model {params.model:q} --name {wildcards.model} --output {output.table:q} 2> {log:q}"


# Models that are endpoints.
rule eval_generate_asked:
    input:
        tasks=rules.eval_tasks.output.table,
    output:
        table=f"{RESULTS}/eval/generate/{{asked}}.parquet",
        ledger=f"{RESULTS}/eval/generate/{{asked}}.ledger.parquet",
    log:
        "logs/eval/generate/{asked}.log",
    benchmark:
        "benchmarks/eval/generate/{asked}.tsv"
    container:
        image("data", "eval/generate")
    resources:
        **asking("eval/generate", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=lambda wildcards: digest(
            "eval/generate", CONFIG.endpoints[wildcards.asked].identity()
        ),
    message:
        "eval/generate: answers of the endpoint {wildcards.asked}"
    shell:
        "artifactscoder eval generate --config {params.config:q} --input {input.tasks:q}"
        " --name {wildcards.asked:q} --output {output.table:q} 2> {log:q}"


rule eval_render:
    input:
        table=f"{RESULTS}/eval/generate/{{model}}.parquet",
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
        " --name {wildcards.model:q} --browsers {threads} --output {output.table:q} 2> {log:q}"


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
        " --name {wildcards.model:q} --output {output.table:q} 2> {log:q}"


rule eval_score:
    input:
        table=rules.eval_render.output.table,
    output:
        table=f"{RESULTS}/eval/score/{{model}}.parquet",
        ledger=f"{RESULTS}/eval/score/{{model}}.ledger.parquet",
    log:
        "logs/eval/score/{model}.log",
    benchmark:
        "benchmarks/eval/score/{model}.tsv"
    container:
        image("data", "eval/score")
    resources:
        **asking("eval/score", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/score", SEED_ROWS["dimensions"]),
    message:
        "eval/score: answers of {wildcards.model} scored on 25 dimensions"
    shell:
        "artifactscoder eval score --config {params.config:q} --input {input.table:q}"
        " --name {wildcards.model:q} --output {output.table:q} 2> {log:q}"


rule eval_table:
    input:
        tasks=rules.eval_tasks.output.table,
        tables=expand(rules.eval_judge.output.table, model=CONFIG.eval.models),
        scored=(
            expand(rules.eval_score.output.table, model=CONFIG.eval.models)
            if CONFIG.eval.dimensions
            else []
        ),
    output:
        table=f"{RESULTS}/eval/table.parquet",
        groups=f"{RESULTS}/eval/groups.parquet",
        pairs=f"{RESULTS}/eval/pairs.parquet",
        dimensions=f"{RESULTS}/eval/dimensions.parquet",
        agreement=f"{RESULTS}/eval/agreement.parquet",
    log:
        "logs/eval/table.log",
    benchmark:
        "benchmarks/eval/table.tsv"
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        recipe=digest("eval/table", SEED_ROWS["dimensions"]),
    message:
        "eval/table: the models side by side"
    shell:
        "artifactscoder eval table --config {params.config:q} --tasks {input.tasks:q} --input {input.tables:q}"
        " --scored {input.scored:q} --output {output.table:q} 2> {log:q}"
