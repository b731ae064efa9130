# SFT data. In: the seed files. Out: results/sft/select/sft_train.parquet. A shard is a category.
# Its rules go first (priority): training waits for them, while CPT can be made beside the training.


rule sft_tasks:
    output:
        table=f"{RESULTS}/sft/tasks/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/tasks/{{category}}.ledger.parquet",
    log:
        "logs/sft/tasks/{category}.log",
    benchmark:
        "benchmarks/sft/tasks/{category}.tsv"
    priority: 10
    container:
        image("data", "sft/tasks")
    resources:
        **asking("sft/tasks", mem_mb=2000),
    params:
        config=CONFIG_FILE,
        recipe=lambda wildcards: digest(
            "sft/tasks",
            CATEGORY_NAMES[wildcards.category],
            SUBCATEGORIES[wildcards.category],
        ),
    message:
        "sft/tasks: tasks of {wildcards.category}"
    shell:
        "artifactscoder sft tasks --config {params.config:q} --category {wildcards.category:q}"
        " --output {output.table:q} 2> {log:q}"


# A checkpoint: which jobs there are behind it is looked at again when it is done. It writes a table for each category
# and leaves alone those that stay the same, so of the paid jobs behind it only those run whose tables changed. Announced
# by `snakemake -n` are those whose own tasks change; a category that only loses a task to another's new one, or gets
# one back, joins them when that is known.
checkpoint sft_distinct_tasks:
    input:
        tables=expand(rules.sft_tasks.output.table, category=CATEGORIES),
    output:
        dropped=f"{RESULTS}/sft/distinct_tasks/dropped.parquet",
    log:
        "logs/sft/distinct_tasks.log",
    benchmark:
        "benchmarks/sft/distinct_tasks.tsv"
    priority: 10
    container:
        image("data")
    resources:
        mem_mb=growing(2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/distinct_tasks"),
    message:
        "sft/distinct_tasks: near-duplicate tasks of all categories"
    shell:
        "artifactscoder sft distinct_tasks --config {params.config:q} --input {input.tables:q}"
        " --output {output.dropped:q} 2> {log:q}"


rule sft_variants:
    input:
        table=distinct("distinct_tasks"),
        # Of its own tasks a category has something new to do; of those of all it waits for the end, and no more.
        own=rules.sft_tasks.output.table,
        dropped=ancient(rules.sft_distinct_tasks.output.dropped),
    output:
        table=f"{RESULTS}/sft/variants/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/variants/{{category}}.ledger.parquet",
    log:
        "logs/sft/variants/{category}.log",
    benchmark:
        "benchmarks/sft/variants/{category}.tsv"
    priority: 10
    container:
        image("data", "sft/variants")
    resources:
        **asking("sft/variants", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest(
            "sft/variants", SEED_ROWS["variants"], digest("sft/distinct_tasks")
        ),
    message:
        "sft/variants: variants of {wildcards.category}"
    shell:
        "artifactscoder sft variants --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


rule sft_decontaminate:
    input:
        table=rules.sft_variants.output.table,
    output:
        table=f"{RESULTS}/sft/decontaminate/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/decontaminate/{{category}}.ledger.parquet",
    log:
        "logs/sft/decontaminate/{category}.log",
    benchmark:
        "benchmarks/sft/decontaminate/{category}.tsv"
    priority: 10
    container:
        image("data")
    resources:
        mem_mb=growing(2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/decontaminate", BENCHMARKS),
    message:
        "sft/decontaminate: variants of {wildcards.category} that no benchmark holds"
    shell:
        "artifactscoder sft decontaminate --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


# A checkpoint for the same reason as sft_distinct_tasks.
checkpoint sft_distinct_variants:
    input:
        tables=expand(rules.sft_decontaminate.output.table, category=CATEGORIES),
    output:
        dropped=f"{RESULTS}/sft/distinct_variants/dropped.parquet",
    log:
        "logs/sft/distinct_variants.log",
    benchmark:
        "benchmarks/sft/distinct_variants.tsv"
    priority: 10
    container:
        image("data")
    resources:
        mem_mb=growing(4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/distinct_variants"),
    message:
        "sft/distinct_variants: near-duplicate requests of all categories"
    shell:
        "artifactscoder sft distinct_variants --config {params.config:q} --input {input.tables:q}"
        " --output {output.dropped:q} 2> {log:q}"


rule sft_code:
    input:
        table=distinct("distinct_variants"),
        own=rules.sft_decontaminate.output.table,
        dropped=ancient(rules.sft_distinct_variants.output.dropped),
    output:
        table=f"{RESULTS}/sft/code/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/code/{{category}}.ledger.parquet",
    log:
        "logs/sft/code/{category}.log",
    benchmark:
        "benchmarks/sft/code/{category}.tsv"
    priority: 10
    container:
        image("data", "sft/code")
    resources:
        **asking("sft/code", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/code", digest("sft/distinct_variants")),
    message:
        "sft/code: pages of {wildcards.category}"
    shell:
        "artifactscoder sft code --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


rule sft_rules:
    input:
        table=f"{RESULTS}/sft/dedup/{{category}}.parquet",
    output:
        table=f"{RESULTS}/sft/rules/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/rules/{{category}}.ledger.parquet",
    log:
        "logs/sft/rules/{category}.log",
    benchmark:
        "benchmarks/sft/rules/{category}.tsv"
    priority: 10
    container:
        image("data")
    resources:
        mem_mb=growing(2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/rules"),
    message:
        "sft/rules: pages of {wildcards.category} that can work"
    shell:
        "artifactscoder sft rules --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


rule sft_score:
    input:
        table=rules.sft_rules.output.table,
    output:
        table=f"{RESULTS}/sft/score/{{category}}.parquet",
        ledger=f"{RESULTS}/sft/score/{{category}}.ledger.parquet",
    log:
        "logs/sft/score/{category}.log",
    benchmark:
        "benchmarks/sft/score/{category}.tsv"
    priority: 10
    container:
        image("render", "sft/score")
    threads: 8
    resources:
        **asking("sft/score", mem_mb=16000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/score", SEED_ROWS["dimensions"]),
    message:
        "sft/score: pages of {wildcards.category} rendered and judged"
    shell:
        "artifactscoder sft score --config {params.config:q} --input {input.table:q}"
        " --browsers {threads} --output {output.table:q} 2> {log:q}"


rule sft_agreement:
    input:
        tables=expand(rules.sft_score.output.table, category=CATEGORIES),
    output:
        table=f"{RESULTS}/sft/agreement/agreement.parquet",
    log:
        "logs/sft/agreement.log",
    benchmark:
        "benchmarks/sft/agreement.tsv"
    container:
        image("data")
    resources:
        mem_mb=growing(4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/agreement", SEED_ROWS["dimensions"]),
    message:
        "sft/agreement: whether judges agree, and whether length pays"
    shell:
        "artifactscoder sft agreement --config {params.config:q} --input {input.tables:q}"
        " --output {output.table:q} 2> {log:q}"


rule sft_select:
    input:
        tables=expand(rules.sft_score.output.table, category=CATEGORIES),
        model=BASE_MANIFEST,
    output:
        table=f"{RESULTS}/sft/select/sft_train.parquet",
        ledger=f"{RESULTS}/sft/select/sft_train.ledger.parquet",
    log:
        "logs/sft/select.log",
    benchmark:
        "benchmarks/sft/select.tsv"
    priority: 10
    container:
        image("data")
    resources:
        mem_mb=growing(8000),
    params:
        config=CONFIG_FILE,
        recipe=digest("sft/select", BASE, TOKENIZER),
        model=BASE,
    message:
        "sft/select: the best pages of all categories"
    shell:
        "artifactscoder sft select --config {params.config:q} --input {input.tables:q}"
        " --model {params.model:q} --output {output.table:q} 2> {log:q}"
