# The report. In: every table and ledger. Out: results/report/index.html, a page, and data/ beside it.


# What the rulegraph is drawn of, for it has no input.
RULES = configs.digest(
    *(
        path.read_text()
        for path in [
            ROOT / "workflow/Snakefile",
            *sorted((ROOT / "rules").glob("*.smk")),
        ]
    )
)


rule rulegraph:
    output:
        f"{RESULTS}/report/rulegraph.dot",
    log:
        "logs/rulegraph.log",
    params:
        config=CONFIG_FILE,
        recipe=RULES,
    message:
        "report: the rulegraph, as Snakemake draws it"
    run:
        shell(
            "snakemake all --rulegraph dot --configfile {params.config:q} > {output:q} 2> {log:q}"
        )


rule report:
    input:
        rulegraph=rules.rulegraph.output,
        data=rules.data.input,
        agreement=rules.sft_agreement.output.table,
        cpt=rules.tokens.input,
        curves=[rules.train_cpt.output.curve] * CONFIG.train.cpt.enabled
        + [rules.train_sft.output.curve, rules.train_grpo.output.curve],
        table=rules.eval_table.output.table,
    output:
        page=f"{RESULTS}/report/index.html",
        data=directory(f"{RESULTS}/report/data"),
    log:
        "logs/report.log",
    benchmark:
        "benchmarks/report.tsv"
    container:
        image("data")
    resources:
        mem_mb=growing(4000),
    params:
        config=CONFIG_FILE,
        recipe=digest("report"),
        results=subpath(output.page, ancestor=2),
    message:
        "report: one page that shows it all"
    shell:
        "artifactscoder report --config {params.config:q} --results {params.results:q}"
        " --rulegraph {input.rulegraph:q} --output {output.page:q} 2> {log:q}"
