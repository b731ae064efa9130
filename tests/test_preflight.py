"""The look ahead: what it reads, and each thing that would stop a run in its own sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml

from artifactscoder import config as configs
from artifactscoder.cluster import checks, disk_checks, endpoint_checks, plan, preflight, slurm, slurm_checks
from artifactscoder.cluster import images as containers
from artifactscoder.cluster.profile import Profile, number
from artifactscoder.config import Config
from artifactscoder.errors import UserError

SINFO = """cn01|cpu|idle|16|64000|(null)
cn02|cpu|drained*|16|64000|(null)
gn01|gpu|mixed|64|512000|gpu:h100:4(S:0-1)
gn02|gpu|idle|64|512000|gpu:h100:4(S:0-1),shard:h100:8(S:0)
"""
SHOW = (
    "PartitionName=cpu AllowGroups=ALL AllowAccounts=ALL AllowQos=ALL MaxTime=1-00:00:00 Nodes=cn[01-02] State=UP\n"
    "PartitionName=gpu AllowGroups=ALL AllowAccounts=ml,lab DenyAccounts=bad MaxTime=12:00:00 State=UP\n"
    "PartitionName=old AllowGroups=root AllowAccounts=ALL MaxTime=UNLIMITED Nodes=cn01 State=DOWN\n"
)
LITTLE = {"mem_mb": 500, "gpu": 0, "cpus_per_task": 1, "slurm_partition": "cpu", "runtime": 10}
SMALL = {rule: LITTLE for rule in ("train_cpt", "train_sft", "train_grpo", "train_export", "eval_generate")}
SLURM = {"executor": "slurm", "default-resources": {"slurm_account": "lab", "slurm_partition": "cpu"}}


@pytest.fixture
def profile(tmp_path: Path):
    """Writes a profile; keywords are its keys, `_` for `-`."""

    def write(**values: object) -> Profile:
        (tmp_path / "profile").mkdir(exist_ok=True)
        text = yaml.safe_dump({key.replace("_", "-"): value for key, value in values.items()})
        (tmp_path / "profile/config.yaml").write_text(text)
        return Profile(tmp_path / "profile")

    return write


@pytest.fixture
def settings(configure):
    """The small configuration of the other tests; keywords overlay it key by key, as a second file would."""

    def make(url: str = "", **sections: object) -> Config:
        values = configure(url).model_dump(mode="json")
        configs._overlay(values, sections)
        return configs.from_dict(values)

    return make


def marks(findings: Iterator[checks.Finding]) -> list[str]:
    return [f"{f.mark} {f.detail}" for f in findings]


def red(findings: Iterator[checks.Finding]) -> str:
    """The one FAIL among the findings, its remedy with it."""
    (only,) = [str(f) for f in findings if f.mark == "FAIL"]
    assert "-> " in only
    return only


# What is read


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


# The cluster, from recorded answers


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {
        "scontrol ping": "Slurmctld(primary) at head is UP\n",
        "scontrol -a": SHOW,
        "sinfo -a": SINFO,
        "sacctmgr -n": "lab||\nml|gpu|\n",
    }
    monkeypatch.setattr(slurm, "run", lambda *words, seconds=0: answers[" ".join(words[:2])])


def test_a_sound_profile_has_no_red_line(recorded, profile, settings) -> None:
    made = profile(**SLURM, set_resources=SMALL)
    config = settings(
        train={"cpt": {"device": "cpu"}, "sft": {"device": "cpu"}, "grpo": {"device": "cpu", "rollout": "hfcpu"}}
    )
    assert not [line for line in marks(slurm_checks.cluster(config, made)) if line.startswith("FAIL")]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"slurm_account": "nobody"}, "'nobody' is no account of"),
        ({"slurm_partition": "nowhere"}, "there is no partition 'nowhere'; there are cpu, gpu, old"),
        ({"slurm_partition": "old"}, "old is down"),
        ({"slurm_account": "ml"}, "the account ml may use gpu, not cpu"),
        ({"runtime": "1441 * attempt"}, "asks 1441 minutes; cpu ends jobs after 1440"),
        (
            {"gpu": 8, "slurm_partition": "gpu"},
            "asks 1 node of 8 GPUs, 1 CPUs and 1000 MB; gpu has 2 of 4 GPUs, 64 CPUs",
        ),
        ({"cpus_per_task": 17}, "asks 1 node of 17 CPUs and 1000 MB; cpu has 2 of 0 GPUs, 16 CPUs"),
        ({"nodes": 3}, "asks 3 nodes of 1 CPUs"),
    ],
)
def test_what_the_cluster_lacks_is_named(recorded, profile, settings, monkeypatch, change, sentence) -> None:
    monkeypatch.setattr("artifactscoder.cluster.profile.rules", lambda: {"sft_tasks": {"mem_mb": 1000}})
    made = profile(executor="slurm", default_resources={**SLURM["default-resources"], **change})
    assert sentence in red(slurm_checks.cluster(settings(), made))


def test_a_checkpoint_is_checked_like_a_rule() -> None:
    from artifactscoder.cluster.profile import rules

    assert rules()["sft_distinct_variants"] == {"mem_mb": 4000}
    assert rules()["cpt_dedup_bands"] == rules()["sft_dedup_bands"] == {"mem_mb": 8000}


def test_answering_for_a_trained_model_asks_its_share_of_a_gpu_node(profile, settings) -> None:
    made = profile(**SLURM, set_resources={"train_sft": {"gpu": 8, "mem_mb": 800_000, "cpus_per_task": 64}})
    asks = {ask.rule: ask for ask in made.asks(settings(eval={"gpus": 2}))}
    assert (asks["eval_generate"].gpus, asks["eval_generate"].memory_mb) == (2, 200_000)
    assert {ask.rule: ask for ask in made.asks(settings(eval={"gpus": 0}))}["eval_generate"].memory_mb == 64_000


def test_nodes_that_fit_but_are_down_are_a_warning(recorded, profile, settings, monkeypatch) -> None:
    monkeypatch.setattr("artifactscoder.cluster.profile.rules", lambda: {"sft_tasks": {"nodes": 2}})
    lines = marks(slurm_checks.cluster(settings(), profile(**SLURM)))
    assert any(line.startswith("warn sft_tasks: 2 nodes of cpu would do, but are down") for line in lines)


def test_a_trainer_with_fewer_gpus_than_the_configuration_wants_is_named(
    recorded, profile, settings, monkeypatch
) -> None:
    monkeypatch.setattr("artifactscoder.cluster.profile.rules", dict)
    made = profile(**SLURM, set_resources={"train_sft": {"slurm_partition": "gpu", "gpu": 4}})
    assert "train_sft asks 1 x 4 GPUs; train.sft is for 1 x 8" in red(slurm_checks.cluster(settings(), made))


def test_without_slurm_its_absence_is_one_sentence(profile, settings, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "scontrol is not on PATH" in red(slurm_checks.cluster(settings(), profile(**SLURM)))
    assert marks(slurm_checks.cluster(settings(), profile(cores=2)))[0].startswith("ok not used")


def test_a_command_that_hangs_is_one_sentence() -> None:
    with pytest.raises(UserError, match="sleep has not answered in 0 s"):
        slurm.run("sleep", "5", seconds=0.1)


# Images, endpoints, keys, model, disk


@pytest.fixture
def sifs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with an image of each role; their digest is said to be 22..."""
    monkeypatch.setattr(containers, "path", lambda config, role: config.images.folder / f"{role}-222222222222.sif")
    monkeypatch.setattr(checks.shutil, "which", lambda name: f"/usr/bin/{name}")
    (tmp_path / "sif").mkdir()
    for role in ("data", "render", "train"):
        (tmp_path / f"sif/{role}-222222222222.sif").write_bytes(b"x")
    return tmp_path / "sif"


def test_missing_and_stale_images_are_told_apart(sifs: Path, profile, settings) -> None:
    config, made = settings(images={"folder": str(sifs)}), profile(software_deployment_method="apptainer")
    assert all(line.startswith("ok") for line in marks(checks.images(config, made)))
    (sifs / "render-222222222222.sif").unlink()
    assert "render-222222222222.sif is not there\n" in red(checks.images(config, made))
    (sifs / "render-111111111111.sif").write_bytes(b"x")
    text = red(checks.images(config, made))
    assert "render-111111111111.sif is of an older definition or lock" in text and "make containers" in text


def test_images_and_binds_are_looked_up_for_apptainer_only(sifs: Path, profile, settings) -> None:
    assert "not used" in marks(checks.images(settings(images={"folder": "nowhere"}), profile(cores=1)))[0]
    made = profile(
        software_deployment_method=["apptainer"], apptainer_args=f"--nv --bind {sifs}:/x,/no/where -B={sifs}"
    )
    assert made.binds() == [sifs, Path("/no/where"), sifs]
    assert "/no/where is not there" in red(checks.binds(settings(), made))


@pytest.mark.parametrize(
    ("seen", "line"),
    [
        ('echo "$9"', "FAIL containers do not see "),
        ("true", "ok data-222222222222.sif sees the "),
        (
            "echo no user namespaces >&2; exit 1",
            "warn data-222222222222.sif cannot be opened here (no user namespaces)",
        ),
    ],
)
def test_what_jobs_read_is_looked_for_inside_a_container(
    sifs: Path, profile, settings, monkeypatch, tmp_path, seen: str, line: str
) -> None:
    program = tmp_path / "apptainer"
    program.write_text(f"#!/bin/sh\n{seen}\n")
    program.chmod(0o755)
    monkeypatch.setattr(checks.shutil, "which", lambda name: str(program))
    made = profile(software_deployment_method="apptainer", apptainer_args="")
    (found,) = checks.binds(settings(images={"folder": str(sifs)}), made)
    assert f"{found.mark} {found.detail}".startswith(line)
    if found.mark == "FAIL":
        assert "--bind" in found.remedy


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        good = self.headers.get("Authorization") in (None, "Bearer good") and self.path == "/v1/models"
        self.send_response(200 if good else 401)
        self.end_headers()
        self.wfile.write(json.dumps({"data": [{"id": "test"}]}).encode())

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    http = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/v1"
    http.shutdown()
    thread.join()
    http.server_close()


def test_endpoints_are_asked_and_their_troubles_named(server: str, profile, settings, monkeypatch) -> None:
    made = profile(cores=1)
    (line,) = marks(endpoint_checks.endpoints(settings(server), made))
    assert line.startswith("ok it at") and line.endswith("and serves test")

    def with_key(key: str) -> str:
        monkeypatch.setenv("TEST_KEY", key)
        config = settings(server, endpoints={"it": {"key_env": "TEST_KEY"}})
        return "\n".join(str(f) for f in endpoint_checks.endpoints(config, made))

    assert with_key("good").startswith("ok")
    for secret, words in (
        ("wrong-secret", "refuses the key in TEST_KEY (HTTP 401)"),
        ("two\nlines", "no header may have"),
    ):
        text = with_key(secret)
        assert words in text and secret not in text
    config = settings(server, endpoints={"it": {"model": "other"}})
    assert marks(endpoint_checks.endpoints(config, made))[0].endswith("lists no model other; it lists test")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:9/v1", "refuses the connection: nothing listens there"),
        ("http://nowhere.invalid/v1", "has a host name that is not known here"),
    ],
)
def test_a_dead_endpoint_is_named(url: str, words: str, profile, settings) -> None:
    assert words in red(endpoint_checks.endpoints(settings(url), profile(cores=1)))


def test_a_silent_endpoint_is_named(profile, settings, monkeypatch) -> None:
    import socket

    monkeypatch.setattr(endpoint_checks, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        assert "has not answered in 0 s" in red(endpoint_checks.endpoints(settings(url), profile(cores=1)))


def test_what_a_job_would_serve_is_looked_at(profile, settings, tmp_path) -> None:
    made = profile(cores=1)

    def said(**own: object) -> list[str]:
        config = settings(endpoints={"own": {"model": "m", **own}}, roles={"coder": "own"})
        return marks(endpoint_checks.endpoints(config, made))

    gguf = tmp_path / "m.gguf"
    first, second, _ = said(kind="llamacpp", path=str(gguf))
    assert first.startswith("FAIL own:") and "cannot be read (No such file or directory)" in first
    assert second.startswith("ok own: each job starts") and "-m artifactscoder.llm.llamacpp`, 0 GPUs" in second
    gguf.write_bytes(b"not a model")
    assert "is no GGUF file" in said(kind="llamacpp", path=str(gguf))[0]
    gguf.write_bytes(b"GGUF and so on")
    assert said(kind="llamacpp", path=str(gguf))[0].startswith("ok own:")
    first, second, _ = said(kind="vllm", path=str(tmp_path), command="no-such-vllm serve")
    assert "lacks config.json, tokenizer.json, model.safetensors" in first
    assert second == "FAIL own: no-such-vllm is not here"
    first, second, _ = said(kind="sglang", path="org/m")
    assert "it is a name on the hub, which every node must reach" in first
    assert second == "FAIL own: the Python package sglang is not here"
    judge = {"own": {"kind": "vllm", "path": "org/m", "vision": True}}
    lines = marks(endpoint_checks.endpoints(settings(endpoints=judge, roles={"vision_judge": "own"}), made))
    assert any(line.startswith("warn roles.vision_judge is 'own', of kind vllm") for line in lines)


def test_an_evaluation_that_starts_vllm_is_refused_where_it_is_not_installed(profile, settings, monkeypatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    config = settings(eval={"engine": "vllm"})
    (finding,) = [f for f in endpoint_checks.endpoints(config, profile(cores=1)) if "eval.engine" in f.detail]
    assert marks([finding]) == ["FAIL eval.engine: vllm is not here"]
    assert finding.remedy.endswith("set eval.engine: transformers")
    assert not [f for f in endpoint_checks.endpoints(settings(), profile(cores=1)) if "eval.engine" in f.detail]


def test_procedural_endpoints_need_nothing(profile, settings) -> None:
    assert marks(endpoint_checks.endpoints(settings(), profile(cores=1))) == [
        "ok it: procedural, built in, needs nothing"
    ]


def test_an_unset_key_is_named_and_none_is_shown(profile, settings, monkeypatch) -> None:
    config = settings("http://127.0.0.1:9/v1", endpoints={"it": {"key_env": "TEST_KEY"}})
    monkeypatch.delenv("TEST_KEY", raising=False)
    assert "TEST_KEY is not set" in red(checks.keys(config, profile(cores=1)))
    monkeypatch.setenv("TEST_KEY", "secret")
    assert marks(checks.keys(config, profile(cores=1))) == ["ok TEST_KEY is set"]
    cleaned = profile(software_deployment_method="apptainer", apptainer_args="--cleanenv")
    assert marks(checks.keys(config, cleaned))[0].startswith("warn TEST_KEY is set, but --cleanenv")


def test_a_model_that_is_not_whole_is_named(tmp_path: Path, profile, settings) -> None:
    base, made = tmp_path / "base", profile(cores=1)
    config = settings(train={"base": str(base)})
    assert "is not there" in red(checks.model(config, made))
    base.mkdir()
    for name in ("config.json", "tokenizer.json"):
        (base / name).write_text('{"dtype": "bfloat16"}')
    (base / "a.safetensors").write_bytes(b"x" * 80)
    shards = {"metadata": {"total_size": 150}, "weight_map": {"m": "a.safetensors", "n": "b.safetensors"}}
    (base / "model.safetensors.index.json").write_text(json.dumps(shards))
    assert f"{base} lacks b.safetensors" in red(checks.model(config, made))
    (base / "b.safetensors").write_bytes(b"x" * 60)
    assert "their index says" in red(checks.model(config, made))
    (base / "b.safetensors").write_bytes(b"x" * 80)
    assert marks(checks.model(config, made))[0].startswith("ok")
    assert plan.parameters(base) == 75 and plan.need(config).train == 75 * (16 * 9 + 6)


def test_a_disk_too_small_is_named(profile, settings, monkeypatch) -> None:
    real = os.statvfs
    config, made = settings(), profile(cores=1)
    fields = list(real("/"))

    def full(path: object) -> os.statvfs_result:
        return os.statvfs_result([*fields[:4], 10, *fields[5:7], 5, *fields[8:]])  # blocks and inodes left

    monkeypatch.setattr(disk_checks.os, "statvfs", full)
    lines = [f for f in disk_checks.disk(config, made) if f.mark == "FAIL"]
    assert "free in" in lines[0].detail and "estimate: data" in lines[0].detail
    assert "5 inodes free" in lines[1].detail and "planned" in lines[1].detail


QUOTA = """Disk quotas for user ann (uid 1000):
     Filesystem  blocks   quota   limit   grace   files   quota   limit   grace
nfs:/export/home  900000*  800000 1000000 1764500000      40     100     120       0
"""
LFS = """/scratch/a/very/long/name/that/fills/its/line
                 [500]  0  2000  -  7  0  0  -
"""


def test_quotas_are_read_from_both_commands() -> None:
    (home,), (scratch,) = disk_checks.read_quotas(QUOTA), disk_checks.read_quotas(LFS)
    assert (home.where, home.free, home.files) == ("left of the quota on nfs:/export/home", -100_000 * 1024, 60)
    assert scratch.free == 1500 * 1024 and scratch.files is None
    assert disk_checks.read_quotas("Disk quotas for user ann (uid 1000): none\n") == []


@pytest.mark.parametrize(
    ("whose", "limits", "sentence"),
    [
        ("-u", "1000 0 5000 - 3 0 0 -", "0.0 GB left of the quota on /scratch; estimate: data"),
        ("-g", "1000 0 0 - 3 0 20 -", "17 inodes left of the quota on /scratch, "),
    ],
)
def test_a_quota_too_small_for_the_plan_is_named(
    whose: str, limits: str, sentence: str, profile, settings, tmp_path
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/lfs").write_text(f"#!/bin/sh\n[ $3 = {whose} ] && echo /scratch {limits}\n")
    (tmp_path / "bin/lfs").chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
        assert sentence in red(disk_checks.disk(settings(), profile(cores=1)))


def test_what_is_made_already_needs_no_room(profile, settings, monkeypatch) -> None:
    config, made = settings(), profile(cores=1)
    config.results.mkdir(parents=True)
    for name in range(500):
        (config.results / str(name)).touch()
    planned = sum(plan.files(config).values())
    assert planned > 500
    fields = list(os.statvfs("/"))
    room = os.statvfs_result([*fields[:7], planned - 450, *fields[8:]])
    monkeypatch.setattr(disk_checks.os, "statvfs", lambda path: room)
    assert not [f for f in disk_checks.disk(config, made) if "inodes" in f.detail]


def test_the_plan_at_paper_scale(tmp_path: Path, settings) -> None:
    config = configs.load([Path("config.yaml")]).model_copy(update={"results": tmp_path})
    assert plan.pages(config) == {"sft": 240_000, "cpt": 7_840_000, "rl": 2000}
    assert plan.shards(config)["cpt/dedup"] == 132 and plan.shards(config)["sft/code"] == 80
    assert 3000 < sum(plan.files(config).values()) < disk_checks.MANY_FILES
    demo = Profile(Path("profiles/demo"))
    assert marks(disk_checks.files(config, demo))[0].startswith("ok")
    some, many = (settings(cpt={"prompts": {"shards": count}}) for count in (1000, 60_000))
    assert marks(disk_checks.files(some, demo))[0].startswith("warn")
    assert "lower cpt.prompts.shards" in red(disk_checks.files(many, demo))


def test_the_file_system_is_timed_and_left_as_it_was(tmp_path: Path, profile, settings) -> None:
    before = sorted(tmp_path.rglob("*"))
    made = profile(cores=1)
    (line,) = marks(disk_checks.latency(settings(), made))
    assert "fsync" in line and line[:4] in ("ok c", "warn")
    assert [path for path in sorted(tmp_path.rglob("*")) if "profile" not in path.parts] == before


# The screen


DEMO = ["--profile", "profiles/demo"]


def test_the_screen_of_the_demo_is_green(capsys: pytest.CaptureFixture) -> None:
    from artifactscoder import cli

    assert cli.main(["preflight", *DEMO]) == 0
    text = capsys.readouterr().out
    assert "0 failed" in text and "procedural" in text and len(text.splitlines()) < 40
    assert cli.main(["preflight", *DEMO, "--only", "nothing"]) == 2
    assert cli.main(["preflight", "--profile", "nowhere"]) == 2
    assert "cannot read the profile nowhere" in capsys.readouterr().err


def test_red_lines_are_the_same_words_without_the_network(profile, settings, monkeypatch) -> None:
    config = settings("http://127.0.0.1:9/v1", train={"base": "nowhere"})
    monkeypatch.setattr(endpoint_checks, "endpoint", lambda *given: pytest.fail("asked"))
    made = profile(cores=1)
    (line,) = preflight.red_lines(config, made.path.parent)
    assert line.startswith("FAIL  model") and "-> download the model" in line


# The real ones


@pytest.fixture
def real(running_slurm, profile, tmp_path: Path, server: str):
    """Runs the command against the Slurm that is up; keywords change the profile's defaults or the configuration."""
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (base / name).write_text("{}")
    partition = next(node.partition for node in slurm.nodes() if node.usable and not node.gpus)
    account = next(iter(slurm.associations()), ("",))[0]
    small = {rule: {**LITTLE, "slurm_partition": partition, "slurm_account": account} for rule in SMALL}
    threads = {rule: 1 for rule in (*small, "sft_score", "rl_valid", "eval_render")}

    def ask(
        results: Path | None = None, url: str = server, compute: bool = False, images: str = "", **changes: object
    ) -> tuple[int, str]:
        resources = {"slurm_partition": partition, "slurm_account": account, **changes}
        made = profile(
            executor="slurm",
            default_resources=resources,
            set_resources=small,
            set_threads=threads,
            software_deployment_method="apptainer" if images else "none",
        )
        values = yaml.safe_load(Path("config.yaml").read_text())
        values["endpoints"] = {"it": {"kind": "api", "url": url, "model": "test", "key_env": "TEST_KEY"}}
        values["roles"] = dict.fromkeys(values["roles"], "it")
        values["train"]["base"] = str(base)
        for trainer in ("cpt", "sft", "grpo"):
            values["train"][trainer].update(device="cpu", engine="fsdp2")
        values["train"]["grpo"].update(rollout="hfcpu", router_replay="none")
        values["sft"]["categories"], values["cpt"]["tree"]["children"] = ["game-puzzle"], [2, 2]
        values["images"]["folder"] = images
        values["results"] = str(results or tmp_path / "results")
        values["journal"] = str(results or tmp_path / "journal")
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        done = subprocess.run(
            [sys.executable, "-m", "artifactscoder.cli", "preflight", "--profile", str(made.path.parent),
             "--config", str(tmp_path / "config.yaml"), *(["--from-compute"] if compute else [])],
            capture_output=True, text=True, env={"TEST_KEY": "good", **os.environ}, timeout=200,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return ask


@pytest.mark.cluster
def test_on_a_real_cluster_a_sound_run_is_green_also_from_a_compute_node(real) -> None:
    code, text = real(compute=True)
    assert code == 0 and "agrees with this machine" in text and "from " in text and "FAIL" not in text, text


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slurm_account": "nobody"}, "'nobody' is no account of"),
        ({"slurm_partition": "nowhere"}, "there is no partition 'nowhere'"),
        ({"slurm_partition": "small", "gpu": 8}, "small has 1 of 4 GPUs, 64 CPUs, 512000 MB"),
        ({"url": "http://127.0.0.1:9/v1"}, "nothing listens there"),
    ],
)
def test_on_a_real_cluster_a_mistake_is_named(real, changes: dict[str, object], sentence: str) -> None:
    code, text = real(**changes)
    assert code == 1 and sentence in text and "-> " in text, text


@pytest.mark.cluster
def test_on_a_real_cluster_key_and_shard_are_named(real, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TEST_KEY", "")
    (tmp_path / "base/model.safetensors").unlink()
    code, text = real()
    assert code == 1 and "TEST_KEY is not set" in text and "lacks model.safetensors" in text, text


@pytest.mark.cluster
def test_on_a_real_cluster_missing_and_stale_images_are_named(real, tmp_path: Path) -> None:
    (tmp_path / "render-111111111111.sif").write_bytes(b"x")
    code, text = real(images=str(tmp_path))
    assert code == 1 and text.count(".sif is not there\n") == 3, text
    assert "render-111111111111.sif is of an older definition or lock" in text and "-> make containers" in text, text


@pytest.mark.cluster
def test_a_full_disk_is_named(real, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "none", str(folder)]).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        (folder / "full").write_bytes(b"x" * (1 << 20))
        code, text = real(results=folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert code == 1 and "0.0 GB free in" in text and "inodes free in" in text and "make room" in text, text
