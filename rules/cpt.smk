# CPT data. In: seed roots and WebSight's files. Out: results/cpt/pack/SHARD.{bin,idx}, tokens, and mixture.json.


rule cpt_websight_sample:
    output:
        table=f"{RESULTS}/cpt/websight/procedural_sample.parquet",
    log:
        "logs/cpt/websight_sample.log",
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        rows=CONFIG.cpt.websight.sample,
        seed=CONFIG.seed,
    message:
        "cpt/websight: stand-in rows, composed procedurally (demo only)"
    shell:
        "artifactscoder cpt websight-sample --config {params.config:q} --count {params.rows}"
        " --output {output.table:q} 2> {log:q}"


rule cpt_websight_source:
    input:
        files=(
            rules.cpt_websight_sample.output.table
            if CONFIG.cpt.websight.sample
            else websight_files()
        ),
    output:
        f"{RESULTS}/cpt/websight/source.json",
    log:
        "logs/cpt/websight_source.log",
    container:
        image("data")
    params:
        config=CONFIG_FILE,
        states=[] if CONFIG.cpt.websight.sample else file_states(websight_files()),
    message:
        "cpt/websight: which files there are"
    shell:
        "artifactscoder cpt websight-source --config {params.config:q} --files {input.files:q}"
        " --output {output:q} 2> {log:q}"


rule cpt_websight:
    input:
        source=rules.cpt_websight_source.output,
    output:
        table=f"{RESULTS}/cpt/websight/{{websight_shard}}.parquet",
        ledger=f"{RESULTS}/cpt/websight/{{websight_shard}}.ledger.parquet",
    log:
        "logs/cpt/websight/{websight_shard}.log",
    benchmark:
        "benchmarks/cpt/websight/{websight_shard}.tsv"
    container:
        image("data", "cpt/websight")
    resources:
        **asking("cpt/websight", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/websight"),
        shard=lambda wildcards: WEBSIGHT_SHARDS[wildcards.websight_shard],
    message:
        "cpt/websight: {wildcards.websight_shard}"
    shell:
        "artifactscoder cpt websight --config {params.config:q} --source {input.source:q}"
        " --shard {params.shard} --output {output.table:q} 2> {log:q}"


rule cpt_tree:
    output:
        table=f"{RESULTS}/cpt/tree/{{root}}.parquet",
        ledger=f"{RESULTS}/cpt/tree/{{root}}.ledger.parquet",
    log:
        "logs/cpt/tree/{root}.log",
    benchmark:
        "benchmarks/cpt/tree/{root}.tsv"
    container:
        image("data", "cpt/tree")
    resources:
        **asking("cpt/tree", mem_mb=2000),
    params:
        config=CONFIG_FILE,
        recipe=lambda wildcards: digest("cpt/tree", ROOTS[wildcards.root]),
    message:
        "cpt/tree: topics below {wildcards.root}"
    shell:
        "artifactscoder cpt tree --config {params.config:q} --root {wildcards.root:q}"
        " --output {output.table:q} 2> {log:q}"


rule cpt_templates:
    output:
        table=f"{RESULTS}/cpt/templates/templates.parquet",
        ledger=f"{RESULTS}/cpt/templates/templates.ledger.parquet",
    log:
        "logs/cpt/templates.log",
    benchmark:
        "benchmarks/cpt/templates.tsv"
    container:
        image("data", "cpt/templates")
    resources:
        **asking("cpt/templates", mem_mb=2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/templates"),
    message:
        "cpt/templates: prompt templates"
    shell:
        "artifactscoder cpt templates --config {params.config:q} --output {output.table:q} 2> {log:q}"


rule cpt_prompts:
    input:
        tree=tree_of,
        templates=rules.cpt_templates.output.table,
        fillers=CONFIG.seeds.cpt_fillers,
    output:
        table=f"{RESULTS}/cpt/prompts/{{tree_shard}}.parquet",
        ledger=f"{RESULTS}/cpt/prompts/{{tree_shard}}.ledger.parquet",
    log:
        "logs/cpt/prompts/{tree_shard}.log",
    benchmark:
        "benchmarks/cpt/prompts/{tree_shard}.tsv"
    container:
        image("data")
    resources:
        mem_mb=growing(2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/prompts"),
        shard=lambda wildcards: TREE_SHARDS[wildcards.tree_shard][1],
    message:
        "cpt/prompts: {wildcards.tree_shard}"
    shell:
        "artifactscoder cpt prompts --config {params.config:q} --tree {input.tree:q}"
        " --templates {input.templates:q} --shard {params.shard} --output {output.table:q} 2> {log:q}"


rule cpt_code:
    input:
        table=rules.cpt_prompts.output.table,
    output:
        table=f"{RESULTS}/cpt/code/{{tree_shard}}.parquet",
        ledger=f"{RESULTS}/cpt/code/{{tree_shard}}.ledger.parquet",
    log:
        "logs/cpt/code/{tree_shard}.log",
    benchmark:
        "benchmarks/cpt/code/{tree_shard}.tsv"
    container:
        image("data", "cpt/code")
    resources:
        **asking("cpt/code", mem_mb=4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/code"),
    message:
        "cpt/code: pages of {wildcards.tree_shard}"
    shell:
        "artifactscoder cpt code --config {params.config:q} --input {input.table:q}"
        " --output {output.table:q} 2> {log:q}"


rule cpt_pack:
    input:
        table=f"{RESULTS}/cpt/dedup/{{shard}}.parquet",
        model=BASE_MANIFEST,
    output:
        tokens=f"{RESULTS}/cpt/pack/{{shard}}.bin",
        index=f"{RESULTS}/cpt/pack/{{shard}}.idx",
        ledger=f"{RESULTS}/cpt/pack/{{shard}}.ledger.parquet",
    log:
        "logs/cpt/pack/{shard}.log",
    benchmark:
        "benchmarks/cpt/pack/{shard}.tsv"
    container:
        image("data")
    threads: 8
    resources:
        mem_mb=growing(8000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/pack", BASE, TOKENIZER),
        model=BASE,
    message:
        "cpt/pack: tokens of {wildcards.shard}"
    shell:
        "artifactscoder cpt pack --config {params.config:q} --input {input.table:q}"
        " --model {params.model:q} --processes {threads} --output {output.index:q} 2> {log:q}"


rule cpt_stats:
    input:
        table=f"{RESULTS}/cpt/dedup/{{shard}}.parquet",
        ledger=rules.cpt_pack.output.ledger,
    output:
        f"{RESULTS}/cpt/stats/{{shard}}.json",
    log:
        "logs/cpt/stats/{shard}.log",
    benchmark:
        "benchmarks/cpt/stats/{shard}.tsv"
    container:
        image("data")
    resources:
        mem_mb=2000,
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/stats"),
    message:
        "cpt/stats: what the pages of {wildcards.shard} are"
    shell:
        "artifactscoder cpt stats --config {params.config:q} --input {input.table:q}"
        " --ledger {input.ledger:q} --output {output:q} 2> {log:q}"


rule cpt_mixture:
    input:
        indices=expand(rules.cpt_pack.output.index, shard=CPT_SHARDS),
        ledgers=expand(rules.cpt_pack.output.ledger, shard=CPT_SHARDS),
        tokens=expand(rules.cpt_pack.output.tokens, shard=CPT_SHARDS),
    output:
        f"{RESULTS}/cpt/pack/mixture.json",
    log:
        "logs/cpt/mixture.log",
    benchmark:
        "benchmarks/cpt/mixture.tsv"
    container:
        image("data")
    resources:
        mem_mb=growing(2000),
    params:
        config=CONFIG_FILE,
        recipe=digest("cpt/mixture"),
    message:
        "cpt/mixture: what training draws of each source"
    shell:
        "artifactscoder cpt mixture --config {params.config:q} --input {input.indices:q}"
        " --output {output:q} 2> {log:q}"
