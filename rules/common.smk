# What all stages share: the typed configuration, the shards, and what a step depends on besides its input files.
import glob
import os
import re
import shlex
import sys
import time
from pathlib import Path

ROOT = Path(workflow.basedir).parent
sys.path.insert(0, workflow.basedir)

from artifactscoder import config as configs
from artifactscoder import benchmarks, guard, models, recipe, seeds
from artifactscoder.cluster import images, mends, serving, slurm
from artifactscoder.cluster.profile import plain
from artifactscoder.config.train import EVALUATED, TRAINED
from artifactscoder.errors import UserError
from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

guard.no_core_dumps()  # of Snakemake, and of all that it starts here or by Slurm
mends.mend_sigterm()

BEGAN = time.time()  # of this run: what is made later was made by it

try:
    CONFIG = configs.from_dict(config, "the configuration")
    SUBCATEGORIES = seeds.subcategories(CONFIG)
    BENCHMARKS = benchmarks.digests(CONFIG.decontaminate.benchmarks)
    EVAL_FILES = {
        name: benchmarks.digests([path], f"eval.tasks.{name}.path")
        for name, path in CONFIG.eval.files.items()
    }
    ROOTS = {root["slug"]: root for root in seeds.cpt_roots(CONFIG)}
    SEED_ROWS = {
        "variants": seeds.variants(CONFIG),
        "dimensions": seeds.dimensions(CONFIG),
        "rl": [
            seeds.rl_families(CONFIG),
            seeds.rl_universal(CONFIG),
            seeds.tech_stacks(CONFIG),
        ],
    }
except UserError as error:
    raise WorkflowError(str(error))

# The command-line tool: an image brings its own, and takes the code from the checkout; elsewhere it is that of the
# environment that Snakemake itself runs in. Training enters its image by itself, on the nodes of its own job.
TRAIN_IMAGE = ""
if DeploymentMethod.APPTAINER in workflow.deployment_settings.deployment_method:
    TRAIN_IMAGE = shlex.quote(
        f"{workflow.deployment_settings.apptainer_args} --bind {ROOT} --bind {os.getcwd()} --pwd {os.getcwd()}"
        f" {images.path(CONFIG, 'train').resolve()}"
    )
shell.prefix(
    # A shell that SIGTERM ended would take the step with it, which ends in order (llm/drain.py).
    "trap : TERM; set -euo pipefail; if [ -x /opt/venv/bin/artifactscoder ];"
    f" then export PYTHONPATH={ROOT}/workflow; else export PATH={Path(sys.executable).parent}:$PATH; fi;"
    f" export ARTIFACTSCODER_APPTAINER={TRAIN_IMAGE}; "
)

RESULTS = str(CONFIG.results)
CONFIG_FILE = f"{RESULTS}/config.yaml"
CATEGORIES = list(SUBCATEGORIES)
CATEGORY_NAMES = {row["slug"]: row for row in seeds.categories(CONFIG)}

# A CPT shard is a root and a number, or a range of WebSight's rows.
TREE_SHARDS = {
    f"{root}-{number:02d}": (root, number)
    for root in ROOTS
    for number in range(CONFIG.cpt.prompts.shards)
}
WEBSIGHT_SHARDS = {
    f"websight-{number:04d}": number for number in range(CONFIG.cpt.websight.shards)
}
CPT_SHARDS = [*TREE_SHARDS, *WEBSIGHT_SHARDS]

# The base model: made here for the demo, a folder of the user's otherwise.
TINY = CONFIG.train.tiny_model is not None
BASE = f"{RESULTS}/train/tiny_model" if TINY else str(CONFIG.train.base)
BASE_MANIFEST = [f"{BASE}/manifest.json"] if TINY else []
# A model of the user's may be replaced in its folder; of these files what the jobs depend on is told at every parse.
TOKENIZER = "" if TINY else models.small_files(Path(BASE), "tokenizer.json")
STATE = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "model.safetensors.index.json",
)
BASE_STATE = "" if TINY else models.small_files(Path(BASE), *STATE)
MODELS = {
    "base": BASE,
    "cpt": f"{RESULTS}/train/cpt/export",
    "sft": f"{RESULTS}/train/sft/export",
    "grpo": f"{RESULTS}/train/grpo/export",
}

# Keys travel in the environment only. Those that are set go to jobs; that a job will lack one is said before anything
# runs (`lacking`), and only where a job asks with it: planning, unlocking and all else need none.
KEYS = sorted(
    {e.key_env for e in CONFIG.in_use.values() if e.key_env and e.kind == "api"}
)


envvars:
    *(name for name in KEYS if name in os.environ),


wildcard_constraints:
    category="|".join(CATEGORIES),
    root="|".join(ROOTS),
    tree_shard="|".join(TREE_SHARDS),
    websight_shard="|".join(WEBSIGHT_SHARDS) or "none",
    shard="|".join(CPT_SHARDS),
    part="[0-9]+",
    model="|".join([*EVALUATED, *map(re.escape, CONFIG.asked_models)]),
    asked="|".join(map(re.escape, CONFIG.asked_models)) or "none",
    trained="|".join(TRAINED),


def digest(step, *more):
    """Digest of what a step depends on besides its input files: version, settings, prompts, models, and seeds."""
    return recipe.digest(CONFIG, step, *more)


def image(role, step=None):
    """The Apptainer image of a role, or of the step's server where it starts one; its name carries a digest of
    definition and locks, so a changed one is new."""
    if step:
        role = serving.image_role(CONFIG, step, role)
    return str(images.path(CONFIG, role))


def growing(mem_mb):
    """Memory [MB] of a job, more at each attempt."""
    return lambda wildcards, attempt: mem_mb * attempt


# What the profile gives a node for training; a model server that a job starts is given its share of the same.
GPU_NODE = plain(workflow.resource_settings.overwrite_resources.get("train_sft", {}))


def asking(step, mem_mb):
    """Resources of a step that asks: more memory at each attempt, and a GPU node's where the job starts a server."""

    def asked(threads):
        return serving.resources(CONFIG, step, mem_mb, threads, GPU_NODE)

    more = {}
    if "cpus_per_task" in asked(1):
        more["cpus_per_task"] = lambda wildcards, threads: asked(threads)[
            "cpus_per_task"
        ]
    if "gpu" not in asked(1):
        more["mem_mb"] = growing(asked(1)["mem_mb"])
    return asked(1) | more


def answering(mem_mb):
    """Resources of a job that answers with a model's folder: its share of a GPU node, in which vLLM may start."""

    def share(threads):
        return serving.share(GPU_NODE, CONFIG.eval.gpus, threads, mem_mb)

    more = {"servers": 1} if CONFIG.eval.serves else {}
    if CONFIG.eval.gpus:
        more["cpus_per_task"] = lambda wildcards, threads: share(threads)[
            "cpus_per_task"
        ]
    return share(1) | more


def optional(resources):
    """What Snakemake's plugin passes on to Slurm where a profile names it, for any rule or for all."""
    asked = {name: resources.get(name) for name in ("qos", "constraint")}
    return shlex.join(f"{name}={value}" for name, value in asked.items() if value)


def websight_files():
    """The files that cpt.websight.input names; none is said when the rule runs, so that a dry run needs no data."""
    return sorted(glob.glob(CONFIG.cpt.websight.input))


def file_states(paths):
    """What changes when a file is replaced, for so many files that hashing them at every parse would be slow."""
    return [(path, os.stat(path).st_size, os.stat(path).st_mtime_ns) for path in paths]


def cpt_pages(shard):
    """The pages of a CPT shard, whichever step made them."""
    step = "websight" if shard in WEBSIGHT_SHARDS else "code"
    return f"{RESULTS}/cpt/{step}/{shard}.parquet"


def sft_pages(category):
    """The pages of a category."""
    return f"{RESULTS}/sft/code/{category}.parquet"


def tree_of(wildcards):
    """The topic tree that a CPT shard draws its leaves from."""
    return f"{RESULTS}/cpt/tree/{TREE_SHARDS[wildcards.tree_shard][0]}.parquet"


def manifest_of(wildcards):
    """What must be there before a model can answer."""
    if wildcards.model == "base":
        return BASE_MANIFEST
    return f"{MODELS[wildcards.model]}/manifest.json"


# What SFT starts from.
START = "cpt" if CONFIG.train.cpt.enabled else "base"
START_MANIFEST = [f"{MODELS['cpt']}/manifest.json"] if START == "cpt" else BASE_MANIFEST


def judge_of_grpo(wildcards):
    """No file: said while the plan is made, and not after days of other steps."""
    try:
        CONFIG.judge_of_grpo()
    except UserError as error:
        raise WorkflowError(str(error))
    return []


def lacking():
    """What the jobs that would run need and do not find here, a sentence each."""
    from artifactscoder.cluster import ready

    jobs = {
        (
            job.rule.name,
            job.wildcards_dict.get("model") or job.wildcards_dict.get("asked", ""),
        )
        for job in workflow.dag.needrun_jobs(exclude_finished=False)
    }
    return list(ready.lacking(CONFIG, jobs, image=bool(TRAIN_IMAGE)))


def tell_lacking():
    """The same at the end of a dry run."""
    from artifactscoder.cluster import ready

    if workflow.dryrun and workflow.dag:
        ready.tell(lacking())


def distinct(step):
    """A category's table of a step that writes those of all categories. One that is there is named at once: a dry run
    then announces just the categories whose own rows changed, and the DAG is looked at again when the step is done.
    """

    def table(wildcards):
        path = f"{RESULTS}/sft/{step}/{wildcards.category}.parquet"
        if not os.path.exists(path):
            getattr(checkpoints, f"sft_{step}").get()
        return path

    return table
