"""What the look ahead reads: the answers of Slurm, and what a profile asks for."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from artifactscoder.cluster import slurm, slurm_checks
from artifactscoder.cluster.profile import TRAINERS, Profile, number, rules
from checkout import ROOT, checkout, snakemake
from slurm_answers import SHOW, SINFO, SLURM


def test_nodes_partitions_and_jobs_are_read() -> None:
    nodes = slurm.read_nodes(SINFO)
    assert [n.gpus for n in nodes] == [0, 0, 4, 4] and [n.usable for n in nodes] == [True, False, True, True]
    partitions = slurm.read_partitions(SHOW)
    assert (partitions["cpu"].minutes, partitions["gpu"].minutes, partitions["old"].minutes) == (1440, 720, None)
    assert partitions["gpu"].accounts == {"ml", "lab"} and partitions["cpu"].accounts is None
    (job,) = slurm.read_jobs("7_3|PENDING|Resources|cpu|0:00|uuid|/w|rule_sft_code_wildcards_a|b\n")
    assert (job.id, job.reason, job.comment) == ("7_3", "Resources", "rule_sft_code_wildcards_a|b")


@pytest.mark.parametrize(
    ("gres", "count"), [("(null)", 0), ("gpu:8", 8), ("gpu:h100:8(S:0-1)", 8), ("gpu", 1), ("gpu:a:2,gpu:b:2", 4)]
)
def test_gpus_of_a_gres(gres: str, count: int) -> None:
    assert slurm.gpus(gres) == count


@pytest.mark.parametrize(
    ("text", "minutes"), [("1-00:00:00", 1440), ("30", 30), ("10:30", 10.5), ("2:00:00", 120), ("1-2", 1560)]
)
def test_minutes_of_slurms_times(text: str, minutes: float) -> None:
    assert slurm.minutes(text) == minutes and slurm.minutes("UNLIMITED") is None


@pytest.mark.parametrize(
    ("text", "value"),
    [(4, 4), ("4000 * attempt", 4000), ("min(2 ** 3, 9)", None), ("max(1, 2) // attempt", 2), ("-3 + 5", 2)],
)
def test_expressions_are_worked_out_for_the_first_attempt(text: object, value: float | None) -> None:
    assert number(text) == value


def test_an_expression_is_never_run(tmp_path: Path) -> None:
    for text in (f"open('{tmp_path}/x', 'w')", "__import__('os').getpid()", "input.size_mb * 2", "1 / 0", "'a' * 9"):
        assert number(text) is None
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("form", ["mapping", "texts"])
def test_both_forms_of_a_profile_ask_the_same(profile, form: str, settings) -> None:
    resources = {
        "train_sft": {
            "slurm_partition": "gpu",
            "gpu": 8,
            "nodes": 2,
            "mem_mb": "500 * attempt",
            "cpus_per_task": 12,
            "runtime": "2h",
        }
    }
    if form == "mapping":
        made = profile(**SLURM, set_resources=resources, set_threads={"sft_score": 3})
    else:
        texts = [f"train_sft:{key}={value}" for key, value in resources["train_sft"].items()]
        defaults = [f"{key}={value}" for key, value in SLURM["default-resources"].items()]
        made = profile(executor="slurm", default_resources=defaults, set_resources=texts, set_threads=["sft_score=3"])
    (ask,) = [ask for ask in made.asks(settings()) if ask.rule == "train_sft"]
    assert (ask.partition, ask.nodes, ask.gpus, ask.cpus, ask.memory_mb, ask.minutes) == ("gpu", 2, 4, 12, 500, 120)
    (ask,) = [ask for ask in made.asks(settings()) if ask.rule == "sft_score"]
    assert (ask.partition, ask.cpus, ask.memory_mb) == ("cpu", 3, 16000)  # the last as the rule itself says


def test_a_rule_that_starts_a_server_asks_for_its_share_of_a_gpu_node(profile, settings) -> None:
    node = {"slurm_partition": "gpu", "gpu": 8, "mem_mb": "800000 * attempt", "cpus_per_task": 32, "runtime": "12h"}
    made = profile(**SLURM, set_resources={"train_sft": node, "sft_code": {"runtime": 600}})
    own = {"kind": "vllm", "path": "org/m", "model": "m", "gpus": 2}
    asks = {ask.rule: ask for ask in made.asks(settings(endpoints={"own": own}, roles={"coder": "own"}))}
    code = asks["sft_code"]
    assert (code.partition, code.gpus, code.cpus, code.memory_mb, code.minutes) == ("gpu", 2, 8, 200_000, 600)
    assert asks["cpt_code"].minutes == 720 and asks["cpt_websight"].gpus == 2
    assert (asks["sft_tasks"].partition, asks["sft_tasks"].gpus, asks["sft_tasks"].memory_mb) == ("cpu", 0, 2000)


def test_a_launched_training_counts_gpus_a_node_and_its_render_nodes(profile, settings) -> None:
    values = {
        "slurm_partition": "gpu",
        "gpu": 8,
        "nodes": 2,
        "render_partition": "cpu",
        "render_nodes": 3,
        "render_cpus": 5,
    }
    made = profile(**SLURM, set_resources={"train_grpo": values}, config=["launcher=slurm"])
    asks = {ask.rule: ask for ask in made.asks(settings(launcher="slurm"))}
    assert asks["train_grpo"].gpus == 8
    assert (asks["train_grpo (render)"].nodes, asks["train_grpo (render)"].cpus) == (3, 5)


def test_the_profile_of_the_checkout_is_understood(settings) -> None:
    path = Path("profiles/slurm")
    if not path.is_dir():
        pytest.skip("no profiles/slurm in this checkout")
    made = Profile(path)
    assert made.slurm and made.config([]).launcher == "slurm"
    assert all(ask.partition and ask.cpus and ask.memory_mb for ask in made.asks(made.config([])))


@pytest.mark.parametrize("size", ["qwen2.5-coder-7b", "qwen3-coder-30b-a3b-4-nodes"])
def test_a_size_s_nodes_are_said_once_and_the_profile_and_the_user_s_file_stay_whole(size: str, tmp_path: Path) -> None:
    """The rules and the look ahead take `nodes` from the configuration, of which the last file counts."""
    names = [f"train_{stage}" for stage in ("cpt", "sft", "grpo")]
    said = f"print('base', CONFIG.train.base)\nfor name in {names}:\n    asked = workflow.get_rule(name).resources\n"
    said += "    print('asks', name, {key: str(value.raw) for key, value in asked.items()})\n"
    files = [Path("config.yaml"), Path(f"profiles/sizes/{size}.yaml"), tmp_path / "my.yaml"]
    with checkout(tmp_path) as folder:
        (folder / "workflow").unlink()
        shutil.copytree(ROOT / "workflow", folder / "workflow", ignore=shutil.ignore_patterns("__pycache__"))
        with open(folder / "workflow/Snakefile", "a") as file:
            file.write(f"\n{said}")
        files[-1].write_text("train: {base: /models/mine}")
        words = ["--profile", "profiles/slurm", "--configfile", *map(str, files[1:]), "-n"]
        done = snakemake(folder, *words, "--", "results/cpt/tree/games-play.parquet", REFERENCE_API_KEY="unused")
    assert done.returncode == 0 and "base /models/mine\n" in done.stdout, done.stdout[-2000:]
    heard = dict(line.split(" ", 2)[1:] for line in done.stdout.splitlines() if line.startswith("asks "))
    made = Profile(Path("profiles/slurm"))
    config = made.config(files)
    assert not list(slurm_checks.trainers(config, made)), "preflight has nothing to say"
    for name in names:
        values, nodes = ast.literal_eval(heard[name]), getattr(config.train, TRAINERS[name]).nodes
        whole = {"nodes": str(nodes), "gpu": "8", "slurm_account": "lab", "slurm_partition": "gpu", "runtime": "1440"}
        assert whole.items() <= values.items() and nodes == (4 if "4-nodes" in size else 1), values
        (own,) = [ask for ask in made.asks(config) if ask.rule == name]
        assert (own.nodes, own.gpus, own.partition) == (nodes, 8, "gpu")


def test_nodes_of_a_profile_that_differ_from_the_configuration_s_are_named_with_what_to_do(profile, settings) -> None:
    made = profile(**SLURM, set_resources={"train_sft": {"gpu": 8, "nodes": 1}}, config=["launcher=slurm"])
    two = settings(launcher="slurm", train={"sft": {"nodes": 2}})
    (found,) = slurm_checks.trainers(two, made)
    assert found.mark == "FAIL" and "train_sft asks 1 x 8 GPUs; train.sft is for 2 x 8" in found.detail
    assert found.remedy.startswith("take `nodes` of train_sft out of") and "train.sft.nodes" in found.remedy


def test_every_rule_that_asks_models_has_a_day_and_is_warned_before_its_end(settings) -> None:
    made, asking = Profile(Path("profiles/slurm")), {name for name, own in rules().items() if "_asks" in own}
    assert asking > {"sft_code", "sft_tasks", "cpt_tree", "eval_judge", "eval_generate_asked"}
    for rule in asking:
        values = made.resources(rule, settings())
        assert (values["runtime"], values["slurm_extra"]) == (1440, "'--signal=TERM@300'"), rule


def test_the_profile_of_the_checkout_repeats_nothing_that_rules_say(settings) -> None:
    made = Profile(Path("profiles/slurm"))
    for rule, own in rules().items():
        assert number(made.set.get(rule, {}).get("mem_mb")) is None or "mem_mb" not in own, rule
        assert made.threads.get(rule) != own.get("_threads", 1), rule
