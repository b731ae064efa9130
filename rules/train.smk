# Training. In: the token files of CPT, the Parquet files of SFT and RL. Out: models in Hugging Face format, under
# results/train/*/export. Checkpoints stand in `work` folders that no rule declares, so that a killed job goes on where
# it was. CPT, SFT and GRPO start through `train launch`: here, or as a Slurm job of their own, in the image where one
# is used; they are `run:` rules because such a rule stays out of images.


if CONFIG.launcher == "slurm":

    localrules:
        train_cpt,
        train_sft,
        train_grpo,


rule train_tiny_model:
    input:
        tables=expand(f"{RESULTS}/sft/rules/{{category}}.parquet", category=CATEGORIES)
        + [f"{RESULTS}/rl/prompts/prompts.parquet"],
    output:
        manifest=f"{RESULTS}/train/tiny_model/manifest.json",
    log:
        "logs/train/tiny_model.log",
    benchmark:
        "benchmarks/train/tiny_model.tsv"
    priority: 20
    container:
        image("train")
    params:
        config=CONFIG_FILE,
        recipe=digest("train/tiny_model"),
        folder=subpath(output.manifest, parent=True),
    message:
        "train/tiny_model: a random small model and its tokenizer (demo only)"
    shell:
        "artifactscoder train tiny_model --config {params.config:q} --input {input.tables:q}"
        " --output {params.folder:q} 2> {log:q}"


rule train_cpt:
    input:
        mixture=f"{RESULTS}/cpt/pack/mixture.json",
        model=BASE_MANIFEST,
    output:
        manifest=f"{RESULTS}/train/cpt/manifest.json",
        curve=f"{RESULTS}/train/cpt/curve.parquet",
    log:
        "logs/train/cpt.log",
    benchmark:
        "benchmarks/train/cpt.tsv"
    priority: 20
    threads: 64
    resources:
        mem_mb=900000,
        runtime=1440,
        save_minutes=15,
        nodes=CONFIG.train.cpt.nodes,
        gpu=8,
        cpus_per_task=64,
        slurm_partition="gpu",
        slurm_account="",
        slurm_extra="",
    params:
        config=CONFIG_FILE,
        recipe=digest("train/cpt", BASE, BASE_STATE),
        image=Path(image("train")).name,
        model=BASE,
        work=f"{RESULTS}/train/cpt/work",
    message:
        "train/cpt: continual pre-training"
    run:
        more = optional(resources)
        shell(
            "artifactscoder train launch --config {params.config:q} --work {params.work:q} --resources"
            " slurm_partition={resources.slurm_partition:q} slurm_account={resources.slurm_account:q}"
            " slurm_extra={resources.slurm_extra:q} nodes={resources.nodes:q} gpu={resources.gpu:q}"
            " cpus_per_task={resources.cpus_per_task:q} mem_mb={resources.mem_mb:q}"
            " runtime={resources.runtime:q} save_minutes={resources.save_minutes:q} {more}"
            " -- train cpt --config {params.config:q} --mixture {input.mixture:q}"
            " --model {params.model:q} --work {params.work:q} --manifest {output.manifest:q} 2> {log:q}"
        )


rule train_sft:
    input:
        table=f"{RESULTS}/sft/select/sft_train.parquet",
        model=START_MANIFEST,
    output:
        manifest=f"{RESULTS}/train/sft/manifest.json",
        curve=f"{RESULTS}/train/sft/curve.parquet",
    log:
        "logs/train/sft.log",
    benchmark:
        "benchmarks/train/sft.tsv"
    priority: 20
    threads: 64
    resources:
        mem_mb=900000,
        runtime=1440,
        save_minutes=15,
        nodes=CONFIG.train.sft.nodes,
        gpu=8,
        cpus_per_task=64,
        slurm_partition="gpu",
        slurm_account="",
        slurm_extra="",
    params:
        config=CONFIG_FILE,
        recipe=digest("train/sft", MODELS[START], BASE_STATE if START == "base" else ""),
        image=Path(image("train")).name,
        model=lambda wildcards: MODELS[START],
        work=f"{RESULTS}/train/sft/work",
    message:
        "train/sft: supervised fine-tuning"
    run:
        more = optional(resources)
        shell(
            "artifactscoder train launch --config {params.config:q} --work {params.work:q} --resources"
            " slurm_partition={resources.slurm_partition:q} slurm_account={resources.slurm_account:q}"
            " slurm_extra={resources.slurm_extra:q} nodes={resources.nodes:q} gpu={resources.gpu:q}"
            " cpus_per_task={resources.cpus_per_task:q} mem_mb={resources.mem_mb:q}"
            " runtime={resources.runtime:q} save_minutes={resources.save_minutes:q} {more}"
            " -- train sft --config {params.config:q} --train {input.table:q}"
            " --model {params.model:q} --work {params.work:q} --manifest {output.manifest:q} 2> {log:q}"
        )


rule train_grpo:
    input:
        train=f"{RESULTS}/rl/parquet/rl_train.parquet",
        val=f"{RESULTS}/rl/parquet/rl_val.parquet",
        model=f"{RESULTS}/train/sft/export/manifest.json",
        judge=judge_of_grpo,
    output:
        manifest=f"{RESULTS}/train/grpo/manifest.json",
        curve=f"{RESULTS}/train/grpo/curve.parquet",
        rewards=f"{RESULTS}/train/grpo/rewards.parquet",
        watch=f"{RESULTS}/train/grpo/watch.parquet",
    log:
        "logs/train/grpo.log",
    benchmark:
        "benchmarks/train/grpo.tsv"
    priority: 20
    threads: 64
    resources:
        mem_mb=900000,
        runtime=1440,
        save_minutes=15,
        nodes=CONFIG.train.grpo.nodes,
        gpu=8,
        cpus_per_task=64,
        slurm_partition="gpu",
        slurm_account="",
        slurm_extra="",
        render_partition="cpu",
        render_nodes=0,
        render_cpus=8,
        render_mem_mb=32000,
    params:
        config=CONFIG_FILE,
        recipe=digest("train/grpo"),
        image=Path(image("train")).name,
        model=subpath(input.model, parent=True),
        work=f"{RESULTS}/train/grpo/work",
    message:
        "train/grpo: GRPO, rewarded by rendering and judge"
    run:
        more = optional(resources)
        shell(
            "artifactscoder train launch --config {params.config:q} --work {params.work:q} --resources"
            " slurm_partition={resources.slurm_partition:q} slurm_account={resources.slurm_account:q}"
            " slurm_extra={resources.slurm_extra:q} nodes={resources.nodes:q} gpu={resources.gpu:q}"
            " cpus_per_task={resources.cpus_per_task:q} mem_mb={resources.mem_mb:q}"
            " runtime={resources.runtime:q} save_minutes={resources.save_minutes:q} {more} render_partition={resources.render_partition:q}"
            " render_nodes={resources.render_nodes:q} render_cpus={resources.render_cpus:q}"
            " render_mem_mb={resources.render_mem_mb:q}"
            " -- train grpo --config {params.config:q} --train {input.train:q} --val {input.val:q}"
            " --model {params.model:q} --work {params.work:q} --manifest {output.manifest:q} 2> {log:q}"
        )


rule train_export:
    input:
        checkpoint=f"{RESULTS}/train/{{trained}}/manifest.json",
    output:
        manifest=f"{RESULTS}/train/{{trained}}/export/manifest.json",
    log:
        "logs/train/export/{trained}.log",
    benchmark:
        "benchmarks/train/export/{trained}.tsv"
    priority: 20
    container:
        image("train")
    resources:
        mem_mb=growing(200000),
    params:
        config=CONFIG_FILE,
        recipe=digest("train/export"),
        folder=subpath(output.manifest, parent=True),
    message:
        "train/export: {wildcards.trained} in Hugging Face format"
    shell:
        "artifactscoder train export --config {params.config:q} --checkpoint {input.checkpoint:q}"
        " --output {params.folder:q} 2> {log:q}"
