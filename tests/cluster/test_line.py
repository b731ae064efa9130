"""`snakemake --profile slurm` on a real Slurm, by the product's own profile with smaller numbers."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
import yaml
from line import TWO, accounted, command, image, live, place, processes, profile, slurm, until

from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import ROOT, answers, asked_again, overlay, server

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(2400)]
TARGETS = [f"results/sft/code/{name}.parquet" for name in ("game-puzzle", "tool-calculator")]


def test_a_red_line_stops_the_run_before_anything_is_submitted(tmp_path: Path) -> None:
    with place(tmp_path / "run") as folder:
        files = [folder / "profiles/demo/recipe.yaml"]
        words = command(folder, profile(folder, account="nobody"), files, *TARGETS)
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
        assert done.returncode != 0 and "artifactscoder preflight stops this run" in done.stdout + done.stderr
        assert "'nobody' is no account" in done.stdout + done.stderr and live(folder) == {}


def test_a_model_that_no_container_sees_is_named_until_it_is_bound(tmp_path: Path) -> None:
    with place(tmp_path / "run") as folder, TemporaryDirectory(dir="/srv") as base:  # /tmp is bound by itself
        few = folder / "few.yaml"
        few.write_text(yaml.safe_dump({"train": {"tiny_model": None, "base": base}, **image()}))
        made = folder / profile(folder, image=True) / "config.yaml"
        words = [sys.executable, "-m", "artifactscoder.cli", "preflight", "--profile", str(made.parent)]
        for file in ("config.yaml", "profiles/demo/recipe.yaml", str(few)):
            words += ["--config", file]
        words += ["--only", "binds", "--from-compute"]

        def looked() -> tuple[int, str]:
            done = subprocess.run(words, cwd=folder, capture_output=True, text=True)
            return done.returncode, done.stdout + done.stderr

        code, text = looked()
        assert code == 1 and text.count(f"containers do not see {base}") == 2, "here, and from a compute node\n" + text
        assert f"--bind {base}" in text
        made.write_text(made.read_text().replace(f"--bind {ROOT}", f"--bind {ROOT} --bind {base}"))
        code, text = looked()
        assert code == 0 and text.count("files and folders that the configuration names") == 2, text
        assert "agrees with this machine" in text and "fsync" in text


def test_a_killed_controller_leaves_no_job_and_nothing_is_asked_twice(asked: Path, tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    with place(tmp_path / "run", asked) as folder, server(log, delay=2) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO)]
        words = command(folder, profile(folder), files, *TARGETS)
        said = (folder / "output.log").read_text
        with open(folder / "output.log", "w") as output:
            first = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
            until(lambda: any("sft_code" in comment for comment in live(folder).values()), 900, said)
            answering = next(p for p in psutil.process_iter(["cmdline"]) if str(log) in (p.info["cmdline"] or []))
            before = len(answers(log))
            until(lambda: len(answers(log)) > before, told=said)
            stopped = time.time()
            answering.suspend()  # so that the jobs outlast a new start, however long that takes
            first.kill()
            first.wait()
            assert live(folder), "the job outlives its controller"
            unlock = [*words[: words.index("--")], "--unlock"]
            assert subprocess.run(unlock, cwd=folder, capture_output=True).returncode == 0
            second = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
            until(lambda: "jobs that a killed controller had left" in said(), 900, said)
            answering.resume()
            resumed = time.time()
            assert second.wait(1200) == 0, said()[-3000:]
        asked_again(log, [(stopped, resumed)])  # what was under way has an answer that nobody was there to take
        for table in TARGETS:
            lines = list(tables.rows(beside(folder / table)))
            assert lines and {line["status"] for line in lines} <= {"ok", "rejected"}
        jobs = accounted(folder)
        assert {job["Partition"] for job in jobs} == {"cpu"}
        assert sum(job["State"] == "COMPLETED" for job in jobs) == 2


def test_no_key_stands_in_a_job_its_script_a_process_or_a_file(asked: Path, tmp_path: Path) -> None:
    secret = "sk-this-must-stay-secret"
    with place(tmp_path / "run", asked) as folder, server(tmp_path / "answers.log", delay=0.5, key=secret) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, TWO, key_env="LINE_KEY")]
        words = command(folder, profile(folder), files, *TARGETS)
        seen: set[str] = set()
        with open(folder / "output.log", "w") as output:
            environment = {**os.environ, "LINE_KEY": secret}
            run = subprocess.Popen(words, cwd=folder, env=environment, stdout=output, stderr=output)
        while run.poll() is None:
            seen |= set(processes(folder).values())
            for job in live(folder):
                script = subprocess.run(["scontrol", "write", "batch_script", job, "-"], capture_output=True, text=True)
                seen |= {slurm("scontrol", "show", "job", "--details", job), script.stdout}
            time.sleep(0.5)
        assert run.returncode == 0, (folder / "output.log").read_text()[-3000:]
        assert any("#!/bin/sh" in text for text in seen) and any("sft code" in text for text in seen)
        assert not [text for text in seen if secret in text]
        written = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert {path.relative_to(folder).parts[0] for path in written} >= {".snakemake", "logs", "results", "journal"}
        assert not [path for path in written if secret.encode() in path.read_bytes()]
