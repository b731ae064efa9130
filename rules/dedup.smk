# Near-duplicate pages, of CPT among all roots and WebSight, of SFT among all categories: the same rules for both.
# In: each shard's pages. Out: results/STAGE/dedup/SHARD.parquet and its ledger. STAGE.dedup.jobs says whether one job
# compares all shards (dedup_pairs), or bands and candidates are shared by several.

DEDUP = {
    # stage: (wildcard, shards, table of pages, the same as input, priority)
    "cpt": ("shard", CPT_SHARDS, cpt_pages, lambda w: cpt_pages(w.shard), 0),
    "sft": ("category", CATEGORIES, sft_pages, lambda w: sft_pages(w.category), 10),
}

for STAGE, (SHARD, SHARDS, PAGES, INPUT, PRIORITY) in DEDUP.items():
    SETTINGS = getattr(CONFIG, STAGE).dedup
    HERE, LOGS, COSTS = (
        f"{RESULTS}/{STAGE}/dedup",
        f"logs/{STAGE}",
        f"benchmarks/{STAGE}",
    )
    SIGNATURES = expand(f"{HERE}/signature/{{shard}}.parquet", shard=SHARDS)

    rule:
        name:
            f"{STAGE}_dedup_signature"
        input:
            table=INPUT,
        output:
            table=f"{HERE}/signature/{{{SHARD}}}.parquet",
        log:
            f"{LOGS}/dedup_signature/{{{SHARD}}}.log",
        benchmark:
            f"{COSTS}/dedup_signature/{{{SHARD}}}.tsv"
        priority: PRIORITY
        container:
            image("data")
        resources:
            mem_mb=growing(2000),
        params:
            config=CONFIG_FILE,
            stage=STAGE,
            recipe=digest(f"{STAGE}/dedup"),
        message:
            f"{STAGE}/dedup: signatures of a shard"
        shell:
            "artifactscoder {params.stage} dedup-signature --config {params.config:q} --input {input.table:q}"
            " --output {output.table:q} 2> {log:q}"

    if SETTINGS.jobs == 1:

        rule:
            name:
                f"{STAGE}_dedup_pairs"
            input:
                signatures=SIGNATURES,
                pages=[PAGES(shard) for shard in SHARDS],
            output:
                table=f"{HERE}/pairs/dropped.parquet",
            log:
                f"{LOGS}/dedup_pairs.log",
            benchmark:
                f"{COSTS}/dedup_pairs.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(4000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
                recipe=digest(f"{STAGE}/dedup"),
            message:
                f"{STAGE}/dedup: near-duplicates among all shards"
            shell:
                "artifactscoder {params.stage} dedup-pairs --config {params.config:q} --signatures {input.signatures:q}"
                " --pages {input.pages:q} --output {output.table:q} 2> {log:q}"

    else:

        rule:
            name:
                f"{STAGE}_dedup_bands"
            input:
                signatures=SIGNATURES,
            output:
                table=f"{HERE}/bands/{{part}}.parquet",
            log:
                f"{LOGS}/dedup_bands/{{part}}.log",
            benchmark:
                f"{COSTS}/dedup_bands/{{part}}.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(8000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
                recipe=digest(f"{STAGE}/dedup"),
                parts=SETTINGS.jobs,
            message:
                f"{STAGE}/dedup: candidates of a group of bands"
            shell:
                "artifactscoder {params.stage} dedup-bands --config {params.config:q} --signatures {input.signatures:q}"
                " --part {wildcards.part} --parts {params.parts} --output {output.table:q} 2> {log:q}"

        rule:
            name:
                f"{STAGE}_dedup_components"
            input:
                signatures=SIGNATURES,
                bands=expand(
                    f"{HERE}/bands/{{part}}.parquet", part=range(SETTINGS.jobs)
                ),
            output:
                table=f"{HERE}/components/pairs.parquet",
                visits=f"{HERE}/components/visits.parquet",
            log:
                f"{LOGS}/dedup_components.log",
            benchmark:
                f"{COSTS}/dedup_components.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(16000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
            message:
                f"{STAGE}/dedup: candidates of all bands in chunks"
            shell:
                "artifactscoder {params.stage} dedup-components --config {params.config:q}"
                " --signatures {input.signatures:q} --bands {input.bands:q} --visits {output.visits:q}"
                " --output {output.table:q} 2> {log:q}"

        rule:
            name:
                f"{STAGE}_dedup_route"
            input:
                table=INPUT,
                visits=f"{HERE}/components/visits.parquet",
            output:
                table=temp(f"{HERE}/route/{{{SHARD}}}.parquet"),
            log:
                f"{LOGS}/dedup_route/{{{SHARD}}}.log",
            benchmark:
                f"{COSTS}/dedup_route/{{{SHARD}}}.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(4000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
            message:
                f"{STAGE}/dedup: a shard's candidates, by chunk"
            shell:
                "artifactscoder {params.stage} dedup-route --config {params.config:q} --input {input.table:q}"
                " --visits {input.visits:q} --output {output.table:q} 2> {log:q}"

        rule:
            name:
                f"{STAGE}_dedup_verify"
            input:
                candidates=f"{HERE}/components/pairs.parquet",
                routes=expand(f"{HERE}/route/{{shard}}.parquet", shard=SHARDS),
            output:
                table=f"{HERE}/verify/{{part}}.parquet",
            log:
                f"{LOGS}/dedup_verify/{{part}}.log",
            benchmark:
                f"{COSTS}/dedup_verify/{{part}}.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(4000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
                parts=SETTINGS.jobs,
            message:
                f"{STAGE}/dedup: candidates compared"
            shell:
                "artifactscoder {params.stage} dedup-verify --config {params.config:q} --candidates {input.candidates:q}"
                " --routes {input.routes:q} --part {wildcards.part} --parts {params.parts} --output {output.table:q}"
                " 2> {log:q}"

        rule:
            name:
                f"{STAGE}_dedup_keep"
            input:
                signatures=SIGNATURES,
                verified=expand(
                    f"{HERE}/verify/{{part}}.parquet", part=range(SETTINGS.jobs)
                ),
            output:
                table=f"{HERE}/pairs/dropped.parquet",
            log:
                f"{LOGS}/dedup_keep.log",
            benchmark:
                f"{COSTS}/dedup_keep.tsv"
            priority: PRIORITY
            container:
                image("data")
            resources:
                mem_mb=growing(16000),
            params:
                config=CONFIG_FILE,
                stage=STAGE,
            message:
                f"{STAGE}/dedup: which pages stay"
            shell:
                "artifactscoder {params.stage} dedup-keep --config {params.config:q} --signatures {input.signatures:q}"
                " --verified {input.verified:q} --output {output.table:q} 2> {log:q}"

    rule:
        name:
            f"{STAGE}_dedup"
        input:
            table=INPUT,
            dropped=f"{HERE}/pairs/dropped.parquet",
        output:
            table=f"{HERE}/{{{SHARD}}}.parquet",
            ledger=f"{HERE}/{{{SHARD}}}.ledger.parquet",
        log:
            f"{LOGS}/dedup/{{{SHARD}}}.log",
        benchmark:
            f"{COSTS}/dedup/{{{SHARD}}}.tsv"
        priority: PRIORITY
        container:
            image("data")
        resources:
            mem_mb=growing(4000),
        params:
            config=CONFIG_FILE,
            stage=STAGE,
        message:
            f"{STAGE}/dedup: pages of a shard that are kept"
        shell:
            "artifactscoder {params.stage} dedup --config {params.config:q} --input {input.table:q}"
            " --dropped {input.dropped:q} --output {output.table:q} 2> {log:q}"
