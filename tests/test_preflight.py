"""The look ahead: what it reads, and each thing that would stop a run in its own sentence."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactscoder import config as configs
from artifactscoder.cluster import checks, disk_checks, endpoint_checks, plan, preflight, slurm, slurm_checks
from artifactscoder.cluster import images as containers
from artifactscoder.cluster.profile import Profile
from artifactscoder.errors import UserError
from artifactscoder.train import engines
from slurm_answers import SHOW, SINFO, SLURM, SMALL


def marks(findings: Iterator[checks.Finding]) -> list[str]:
    return [f"{f.mark} {f.detail}" for f in findings]


def red(findings: Iterator[checks.Finding]) -> str:
    """The one FAIL among the findings, its remedy with it."""
    (only,) = [str(f) for f in findings if f.mark == "FAIL"]
    assert "-> " in only
    return only


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


@pytest.mark.parametrize(
    ("partitions", "resources", "sentence"),
    [
        ("gpu,cpu", {}, ""),
        ("cpu, old", {}, ""),  # which is down
        ("cpu,gpu", {"gpu": 4}, ""),
        ("cpu,gpu", {"gpu": 8}, "asks 1 node of 8 GPUs"),
        ("cpu,gpu", {"runtime": 1440}, ""),
        ("cpu,gpu", {"runtime": 1500}, "asks 1500 minutes"),
        ("cpu,nowhere", {}, "there is no partition 'nowhere'"),  # sbatch refuses the list
    ],
)
def test_of_several_partitions_one_that_fits_is_enough(
    recorded, profile, settings, monkeypatch, partitions, resources, sentence
) -> None:
    monkeypatch.setattr("artifactscoder.cluster.profile.rules", lambda: {"sft_tasks": {"mem_mb": 1000}})
    made = profile(
        executor="slurm", default_resources={"slurm_account": "lab", "slurm_partition": partitions, **resources}
    )
    found = list(slurm_checks.cluster(settings(), made))
    if sentence:
        assert sentence in red(iter(found))
    else:
        assert not [str(f) for f in found if f.mark == "FAIL"] and "what 1 of 1 rules ask is there" in str(found[-1])


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


def test_training_that_has_neither_an_image_nor_its_packages_is_told(profile, settings, monkeypatch) -> None:
    monkeypatch.setitem(engines.NEEDS, "megatron", ("no_such_engine",))
    cpu = {"device": "cpu", "engine": "fsdp2"}
    small = {"tiny_model": {}, "cpt": cpu, "sft": cpu, "grpo": {**cpu, "rollout": "hfcpu", "router_replay": "none"}}
    (line,) = marks(checks.images(settings(train=small), profile(cores=1)))
    assert line.startswith("ok not used")
    large = {**small, "sft": {"device": "cuda", "engine": "megatron"}}
    (line,) = marks(checks.images(settings(train=large), profile(cores=1)))
    assert line.startswith("warn not used") and "data can be made so, but train.sft as configured needs no_such" in line
    unused = {**small, "cpt": {"device": "cuda", "engine": "megatron", "enabled": False}}
    assert marks(checks.images(settings(train=unused), profile(cores=1)))[0].startswith("ok not used")


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


def test_a_judge_of_pictures_that_is_sent_none_is_a_warning(server: str, profile, settings, capsys) -> None:
    made = profile(cores=1)
    assert not [line for line in marks(endpoint_checks.endpoints(settings(server), made)) if "vision" in line]
    assert settings(endpoints={"it": {"vision": False}}).blind_judges == [], "the built-in judge reads measurements"
    config = settings(server, endpoints={"it": {"vision": False}})
    first, *_ = endpoint_checks.endpoints(config, made)
    assert first.mark == "warn" and first.detail.startswith("'it' judges checklists without `vision: true`")
    assert "with vision: true" in first.remedy
    plan.run(config, 8, False)
    assert first.detail in capsys.readouterr().out
    second = {"second": {"kind": "api", "url": server, "model": "other"}}
    assert settings(server, endpoints=second, eval={"judges": ["second", "it"]}).blind_judges == ["second"]


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
    judge = {"own": {"kind": "vllm", "path": "org/m", "model": "m", "vision": True}}
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
    assert "lower cpt.prompts.shards" in (remedy := red(disk_checks.files(many, demo))) and "pays again" in remedy


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
