"""Training on real trainers: verl's SFT and GRPO on a model of 40K parameters, killed and taken up again.

Marked by what it costs: about 80 s on two cores, most of it processes that import PyTorch. GRPO runs beside the SFT
tests and is waited for at the end.
"""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest

from artifactscoder.config.trainers import ExportSettings, GrpoSettings
from artifactscoder.errors import UserError
from artifactscoder.train import curves, export, grpo, reward_function, runs, sft, torchrun
from training import SFT, STEPS, furnish, gone, marked, messages, page, start

pytest.importorskip("verl")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny model, SFT rows and RL rows."""
    return furnish(tmp_path_factory.mktemp("train"))


SETTINGS = GrpoSettings(
    device="cpu", gpus_per_node=1, precision="fp32", gradient_checkpointing=False, learning_rate=1e-3,
    batch_prompts=2, rollouts=3, steps=2, max_prompt_tokens=64, max_response_tokens=24, tokens_per_gpu=256,
    validate_every_steps=2, kl_coefficient=0.001, offload=False, save_every_steps=2, loader_workers=0, threads=1,
    rollout="hfcpu", checkpoint_hf=True, validate_temperature=0, tensor_parallel=1, reward_workers=1, agent_workers=1,
    ray_cpus=16, stop_seconds=10,
)  # fmt: skip
GRPO = f"""
import threading, time
from pathlib import Path
from artifactscoder.train import grpo
from artifactscoder.config.trainers import GrpoSettings

settings = GrpoSettings.model_validate_json({SETTINGS.model_dump_json()!r})


def run():
    grpo.run(
        settings, Path("rl_train.parquet"), Path("rl_val.parquet"), Path("model"), Path("reward.json"), Path("work"),
        Path("grpo/manifest.json"), engine="fake_engine:Engine",
    )


def ask_for_the_end():
    while not list(Path("work").glob("*/metrics")):
        time.sleep(0.05)
    Path("work/stop").touch()


threading.Thread(target=ask_for_the_end, daemon=True).start()
try:
    run()
except SystemExit as end:
    assert end.code == 75 and Path("work/stop").exists()
    run()
    Path("went_on").touch()
"""

ENGINE = """
from pathlib import Path

from artifactscoder.reward.task import Score


class Engine:
    \"\"\"Scores by length; two of the three answers to the second prompt find no render service.\"\"\"

    def __init__(self, failed: Path):
        self.prompts, self.failed = [], failed

    @classmethod
    def from_settings(cls, path: Path):
        assert path.name == "reward.json"
        return cls(path.with_name("failed"))

    async def score(self, answer, task, sample, tokens=None):
        uid, _, session = sample.partition("_")
        if uid not in self.prompts:
            self.prompts.append(uid)
        if not self.failed.exists() and len(self.prompts) == 4:
            self.failed.write_text(uid)
        if self.failed.exists() and uid == self.failed.read_text() and session != "1":
            raise ConnectionError("no render service")
        assert task.prompt.startswith("Make page") and task.reference.startswith("<!DOCTYPE") and task.checklist == []
        return Score({"score": len(answer) / 1000, "i_rep": 1.0, "tokens": float(len(answer)), "reason": "ok"})
"""


@pytest.fixture(scope="module", autouse=True)
def grpo_beside(room: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """GRPO, started first and left to run while the other tests do."""
    (room / "fake_engine.py").write_text(ENGINE)
    (room / "reward.json").write_text("{}")
    mark = uuid.uuid4().hex
    process = start(GRPO, mark, room, room / "grpo.log")
    yield process, mark
    process.terminate()
    process.wait(60)


@pytest.fixture(scope="module")
def whole_run(room: Path) -> dict[str, Any]:
    """SFT without interruption: its manifest."""
    manifest = room / "sft" / "manifest.json"
    sft.run(SFT, room / "sft.parquet", room / "model", room / "work_whole", manifest)
    return json.loads(manifest.read_text())


DAEMON = """
import os, sys, time
from artifactscoder.train.supervise import Trainer

trainer = '''
import os, sys, time, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        time.sleep(60)
    os._exit(0)
print("ready", flush=True)
time.sleep(float(sys.argv[1]))
'''
with Trainer([sys.executable, "-c", trainer, sys.argv[1]], os.environ, ".", stop_seconds=0.5) as run:
    for line in run.lines():
        if line:
            print(line, flush=True)
"""


@pytest.mark.parametrize("end", ["by itself", "SIGTERM", "SIGKILL"])
def test_no_daemon_of_a_trainer_outlives_it(tmp_path: Path, end: str) -> None:
    mark = uuid.uuid4().hex
    code = DAEMON.replace("sys.argv[1]]", "'0.2']" if end == "by itself" else "'60']")
    process = start(code, mark, tmp_path, tmp_path / "log")
    while "ready" not in (tmp_path / "log").read_text():
        assert process.poll() is None
        time.sleep(0.05)
    assert end == "by itself" or len(marked(mark)) >= 4  # caller, guard, trainer, daemon
    if end != "by itself":
        process.send_signal(getattr(signal, end))
    code_seen = process.wait(15)
    assert code_seen == {"by itself": 0, "SIGTERM": 143, "SIGKILL": -9}[end], (tmp_path / "log").read_text()
    assert gone(mark)


def test_any_text_passes_the_tiny_tokenizer_unchanged_and_a_known_line_is_one_token(room: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(room / "model")
    for text in (page(3), "Grüße — 日本語\n  </body>\r\n\t<p>", "</html>\n</body>\n"):
        assert tokenizer.decode(tokenizer(text).input_ids) == text
    assert len(tokenizer("<!DOCTYPE html>\n").input_ids) == 1


def test_data_that_fill_no_batch_are_one_sentence(room: Path) -> None:
    settings = SFT.model_copy(update={"batch_size": 16})
    with pytest.raises(UserError, match="12 rows are fewer than one batch of 16"):
        sft.run(settings, room / "sft.parquet", room / "model", room / "work_none", room / "none" / "manifest.json")


def test_a_changed_recipe_is_another_run_that_says_so_and_other_remedies_go_on_with_the_same(
    room: Path, whole_run: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def start(**changes: Any) -> str:
        changed = SFT.model_copy(update=changes)
        with pytest.raises(InterruptedError):
            sft.run(changed, room / "sft.parquet", room / "model", room / "work_whole", room / "no" / "manifest.json")
        return capsys.readouterr().err

    def no_training(*_: Any) -> None:
        raise InterruptedError

    monkeypatch.setattr(torchrun, "_train", no_training)
    begun = f"sft: starts anew beside run {whole_run['run']} at step {STEPS}, because"
    assert f"{begun} train.sft.learning_rate, train.sft.seed changed\n" in start(learning_rate=1e-4, seed=1)
    monkeypatch.setattr(runs, "keep_recipe", lambda *_: None)  # as a run of before
    (room / "work_whole" / whole_run["run"] / "recipe.json").unlink()
    assert f"{begun} settings, data or model changed; which, that run did not keep\n" in start(batch_size=2)

    remedies = {"checkpoint_hf": True, "tokens_per_gpu": 300, "max_tokens": 300, "gradient_checkpointing": True}
    remedies |= {"save_every_steps": 1, "keep_checkpoints": 9, "threads": 2, "stop_seconds": 60}
    again = room / "remedied" / "manifest.json"
    sft.run(SFT.model_copy(update=remedies), room / "sft.parquet", room / "model", room / "work_whole", again)
    assert json.loads(again.read_text())["run"] == whole_run["run"]
    assert "anew" not in capsys.readouterr().err


def test_a_grpo_run_that_halted_goes_on_after_every_remedy_that_teaches_nothing_else() -> None:
    def name(**changes: Any) -> str:
        return runs.identity(runs.recipe("grpo", GrpoSettings(**changes), {"train": "t"}, "m"))

    remedies: dict[str, Any] = {
        "least_scored": 0.1, "watch": {"failed": 0.9}, "browsers": 2, "reward_workers": 1, "agent_workers": 2,
        "gpu_memory": 0.5, "tensor_parallel": 8, "offload": False, "tokens_per_gpu": 20_000, "checkpoint_hf": True,
        "validate_every_steps": 0, "save_every_steps": 5, "loader_workers": 0, "ray_cpus": 8,
    }  # fmt: skip
    assert {name(**{key: value}) for key, value in remedies.items()} == {name()}
    others: dict[str, Any] = {"rollouts": 8, "temperature": 0.9, "max_response_tokens": 8192, "steps": 5, "seed": 1}
    assert len({name(**{key: value}) for key, value in others.items()} | {name()}) == len(others) + 1


def test_a_run_killed_at_the_end_of_an_epoch_goes_on_as_if_it_had_not_been(
    room: Path, whole_run: dict[str, Any]
) -> None:
    code = f"""
    from pathlib import Path
    from artifactscoder.train import sft
    from artifactscoder.config.trainers import SftSettings
    settings = SftSettings.model_validate_json({SFT.model_dump_json()!r})
    sft.run(settings, Path("sft.parquet"), Path("model"), Path("work_cut"), Path("cut/manifest.json"))
    """
    mark = uuid.uuid4().hex
    process = start(code, mark, room, room / "cut.log")
    while not any(runs.saved(folder) for folder in (room / "work_cut").glob("*/checkpoints")):
        assert process.poll() is None, (room / "cut.log").read_text()
        time.sleep(0.02)
    process.kill()
    assert gone(mark), "verl outlived the killed step"
    assert not (room / "cut" / "manifest.json").exists()

    sft.run(SFT, room / "sft.parquet", room / "model", room / "work_cut", room / "cut" / "manifest.json")
    manifest = json.loads((room / "cut" / "manifest.json").read_text())
    assert manifest["final_step"] == whole_run["final_step"] == STEPS
    assert manifest["run"] == whole_run["run"]
    cut, whole = (pq.read_table(room / name / "curve.parquet").to_pydict() for name in ("cut", "sft"))
    assert cut["step"] == whole["step"] == [1, 2, 3, 4, 5]
    assert cut["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert cut["lr"] == pytest.approx(whole["lr"])
    kept = sorted(path.name for path in Path(manifest["checkpoint"]).parent.glob("global_step_*"))
    assert kept == [f"global_step_{STEPS}"]


def test_a_run_that_is_asked_to_stop_saves_the_step_and_goes_on_from_it(room: Path, whole_run: dict[str, Any]) -> None:
    code = f"""
    from pathlib import Path
    from artifactscoder.train import sft
    from artifactscoder.config.trainers import SftSettings
    settings = SftSettings.model_validate_json({SFT.model_dump_json()!r})
    sft.run(settings, Path("sft.parquet"), Path("model"), Path("work_asked"), Path("asked/manifest.json"))
    """
    log = room / "asked.log"
    process = start(code, uuid.uuid4().hex, room, log)
    while "from step 0" not in log.read_text():
        assert process.poll() is None, log.read_text()
        time.sleep(0.05)
    (room / "work_asked" / "stop").touch()
    assert process.wait(200) == 75 and not (room / "asked" / "manifest.json").exists()
    assert "was asked to stop: saved at step 1 of 5; the next start goes on from there" in log.read_text()

    sft.run(SFT, room / "sft.parquet", room / "model", room / "work_asked", room / "asked" / "manifest.json")
    asked, whole = (pq.read_table(room / name / "curve.parquet").to_pydict() for name in ("asked", "sft"))
    assert asked["step"] == whole["step"] == [1, 2, 3, 4, 5]
    assert asked["loss"] == pytest.approx(whole["loss"], rel=1e-5)


def test_a_finished_run_is_not_trained_again(room: Path, whole_run: dict[str, Any]) -> None:
    again = room / "again" / "manifest.json"
    begin = time.monotonic()
    sft.run(SFT, room / "sft.parquet", room / "model", room / "work_whole", again)
    assert time.monotonic() - begin < 5
    assert json.loads(again.read_text())["checkpoint"] == whole_run["checkpoint"]


def test_an_exported_model_loads_and_answers(room: Path, whole_run: dict[str, Any]) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    exported = export_of(room, "bf16")
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["final_step"] == STEPS and manifest["run"] == whole_run["run"]
    tokenizer = AutoTokenizer.from_pretrained(exported)
    model = AutoModelForCausalLM.from_pretrained(exported, dtype="auto")
    assert model.dtype == torch.bfloat16
    prompt = tokenizer.apply_chat_template(messages(1, answer=False), tokenize=False, add_generation_prompt=True)
    tokens = tokenizer(prompt, return_tensors="pt", add_special_tokens=False)
    out = model.generate(**tokens, max_new_tokens=8, do_sample=False)
    assert out.shape[1] > tokens.input_ids.shape[1]


def test_a_run_without_hugging_face_weights_is_exported_in_the_type_of_its_masters(
    room: Path, whole_run: dict[str, Any]
) -> None:
    import torch
    from safetensors.torch import load_file

    assert not SFT.checkpoint_hf
    whole, half = (load_file(export_of(room, dtype) / "model.safetensors") for dtype in ("fp32", "bf16"))
    (shard,) = Path(whole_run["checkpoint"]).glob("model_world_size_1_rank_0.pt")
    masters = torch.load(shard, weights_only=False)
    for name, weight in whole.items():
        assert weight.dtype == torch.float32 and torch.equal(weight, masters[name].to_local()), name
        assert torch.equal(weight.bfloat16(), half[name])
    assert any(not torch.equal(weight, half[name].float()) for name, weight in whole.items())


def export_of(room: Path, dtype: Literal["bf16", "fp32"]) -> Path:
    export.run(ExportSettings(dtype=dtype), room / "sft" / "manifest.json", room / f"exported_{dtype}")
    return room / f"exported_{dtype}"


@pytest.mark.parametrize("inner", [".", "model", "actor", "actor/model"])
def test_a_checkpoint_of_either_trainer_and_engine_is_found(inner: str, tmp_path: Path) -> None:
    shards = tmp_path / "global_step_7" / inner
    (shards / "huggingface").mkdir(parents=True)
    (shards / "huggingface/config.json").write_text("{}")
    assert export.locate(tmp_path / "global_step_7") == (shards, {})


def test_export_of_something_else_is_one_sentence(room: Path) -> None:
    with pytest.raises(UserError, match="is not the manifest of train/cpt"):
        export.run(ExportSettings(), room / "model" / "manifest.json", room / "nothing")


def test_grpo_that_was_asked_to_stop_goes_on_records_every_reward_by_step_and_a_failure_is_no_score(
    room: Path, grpo_beside: tuple[subprocess.Popen[bytes], str]
) -> None:
    process, mark = grpo_beside
    assert process.wait(600) == 0, (room / "grpo.log").read_text()[-3000:]
    assert gone(mark, seconds=2), f"left running: {marked(mark)}"
    said = (room / "grpo.log").read_text()
    assert (room / "went_on").exists() and "was asked to stop: saved at step 1 of 2" in said, said[-3000:]
    manifest = json.loads((room / "grpo" / "manifest.json").read_text())
    assert manifest["final_step"] == 2 and Path(manifest["checkpoint"], "huggingface").is_dir()

    curve = pq.read_table(room / "grpo" / "curve.parquet").to_pydict()
    assert curve["step"] == [0, 1, 2]  # 0: the validation before training
    assert all(0 < score < 1 for score in curve["score"][1:])
    assert curve["val_score"][0] > 0 and curve["val_score"][2] > 0

    rewards = pq.read_table(room / "grpo" / "rewards.parquet").to_pylist()
    train = [row for row in rewards if row["split"] == "train"]
    failed = [row for row in rewards if row["status"] == "failed"]
    (alone,) = [row for row in rewards if row["split"] == "unused" and row["status"] == "ok"]
    assert [row["step"] for row in train].count(2) == 6
    assert len(train) == 9 and len(failed) == 2 and alone["score"] > 0
    assert len({row["sample"].partition("_")[0] for row in [alone, *failed]}) == 1
    assert failed[0]["score"] is None and failed[0]["error"] == "ConnectionError: no render service"
    watched = pq.read_table(room / "grpo" / "watch.parquet").to_pydict()
    assert watched["step"] == [1, 2] and watched["failed"] == [pytest.approx(2 / 5), 0]
    assert manifest["alarms"] == []
    assert {(row["step"], row["attempt"]) for row in [*train, *failed]} == {(1, 1), (2, 2)}
    assert sum(row["split"] == "val" for row in rewards) == 4
    assert all(row["id"].startswith("page/") and row["reason"] == "ok" for row in train)
    for step in (1, 2):
        scores = [row["score"] for row in train if row["step"] == step]
        assert sum(scores) / len(scores) == pytest.approx(curve["score"][step], abs=1e-3)


def test_what_failed_in_an_attempt_that_halted_is_no_share_of_the_step_that_was_repeated(
    room: Path, grpo_beside: tuple[subprocess.Popen[bytes], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert grpo_beside[0].wait(600) == 0, (room / "grpo.log").read_text()[-3000:]
    (rewards,) = (room / "work").glob("*/rewards")
    monkeypatch.syspath_prepend(room)
    told = {"settings": str(room / "reward.json"), "log_dir": str(rewards), "engine": "fake_engine:Engine"}
    for session in ("7", "8", "9"):  # the first attempt had come to the second step
        sample = {"uid": (room / "failed").read_text(), "session": session, "step": 2}
        info = {"id": "page/0", "prompt": "Make page 0.", "checklist": "[]", "sample": sample}
        with pytest.raises(ConnectionError):
            asyncio.run(reward_function.compute_score("", "", page(0), info, attempt=1, **told))
    paths = [room / name for name in ("rl_train.parquet", "rl_val.parquet", "model", "reward.json", "work")]
    grpo.run(SETTINGS, *paths, room / "halted" / "manifest.json")
    watched = pq.read_table(room / "halted" / "watch.parquet").to_pydict()
    assert watched["answers"] == [5, 6] and watched["failed"] == [pytest.approx(2 / 5), 0]
    failed = pq.read_table(room / "halted" / "rewards.parquet", filters=[("status", "==", "failed")])
    assert failed.num_rows == 5  # all that was asked stays on record


def test_an_exported_model_writes_the_tokens_that_the_trainer_itself_writes(
    room: Path, grpo_beside: tuple[subprocess.Popen[bytes], str]
) -> None:
    """verl's last validation took the likeliest tokens from the trainer's weights; transformers must find the same."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    assert grpo_beside[0].wait(600) == 0, (room / "grpo.log").read_text()[-3000:]
    export.run(ExportSettings(dtype="fp32"), room / "grpo" / "manifest.json", room / "grpo_exported")
    tokenizer = AutoTokenizer.from_pretrained(room / "grpo_exported")
    model = AutoModelForCausalLM.from_pretrained(room / "grpo_exported", dtype=torch.float32)
    (dump,) = (room / "work").glob("*/validation/2.jsonl")
    told = {row["gts"]: row["output"] for row in map(json.loads, dump.read_text().splitlines())}
    assert len(told) == 2
    for i in (6, 7):
        text = tokenizer.apply_chat_template(messages(i, answer=False), tokenize=False, add_generation_prompt=True)
        tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        out = model.generate(**tokens, max_new_tokens=24, do_sample=False)[0, tokens.input_ids.shape[1] :]
        answer = tokenizer.decode(out, skip_special_tokens=True)
        assert answer and answer == told[page(i)]


def test_slurm_names_gpus_in_every_vendors_words_and_verl_hears_one(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA", "ROCR"):
        monkeypatch.setenv(f"{name}_VISIBLE_DEVICES", "0,1")
    env = runs.environment("cuda", 1, {})
    assert env["CUDA_VISIBLE_DEVICES"] == "0,1" and "ROCR_VISIBLE_DEVICES" not in env


def test_the_reason_is_the_trainers_own_and_not_torchruns() -> None:
    tail = curves.Tail()
    for line in ("[rank0]: ValueError: no such thing", "torch.distributed.elastic.errors.ChildFailedError:"):
        tail.add(line)
    assert tail.reason() == "ValueError: no such thing"


def test_grpo_tells_the_reward_workers_where_all_is_and_its_recipe_holds_no_address(
    configure, tmp_path, monkeypatch
) -> None:
    told = []
    monkeypatch.setattr(grpo, "run", lambda *paths, recipe, loggers: told.append((paths, recipe)))
    model, meeting = tmp_path / "model", tmp_path / "replicas"
    waits = {"reward": {"patience_s": 5, "asks": 9}, "render": {"sandbox": "require"}}
    others = ({"reward": {"length_full": 9}}, {"render": {"timeout_s": 5}}, {"render": {"memory_mb": 500}})
    for change in ({}, {"endpoints": {"it": {"kind": "procedural", "vision": True, "timeout_s": 5}}}, waits, *others):
        config = configure(**change)
        paths = [tmp_path / name for name in ("train.parquet", "val.parquet")]
        grpo.whole(config, [tmp_path / "c.yaml"], *paths, model, tmp_path, tmp_path / "manifest.json", meeting)
    names = [runs.identity(runs.recipe("grpo", GrpoSettings(), {}, "m", **recipe)) for _, recipe in told]
    assert len(set(names[:3])) == 1 and len(set(names)) == 1 + len(others)
    said = json.loads(told[0][0][4].read_text())
    assert said == {
        "config": [str(tmp_path / "c.yaml")],
        "journal": str(tmp_path / "journal"),
        "tokenizer": str(model),
        "rendezvous": str(meeting),
    }
