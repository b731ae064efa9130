"""What `snakemake` looks at and clears away before its first job on Slurm; Slurm's answers are recorded ones."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from artifactscoder.cluster import slurm
from artifactscoder.errors import UserError
from checkout import ROOT, SMALL, checkout, snakemake
from slurm_answers import SHOW, SINFO

LEFT = "11|RUNNING|None|cpu|1:00|uuid|{folder}|rule_sft_code_wildcards_game-puzzle"


def commands(folder: Path, **answers: str) -> Path:
    """A folder with Slurm's commands, each a shell script; what is called stands in its file `calls`."""
    folder.mkdir(exist_ok=True)
    for name in ("scontrol", "sinfo", "sacctmgr", "squeue", "scancel", "sbatch", "sacct"):
        (folder / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {folder}/calls\n{answers.get(name, "true")}\n')
        (folder / name).chmod(stat.S_IRWXU)
    return folder


def said(lines: str) -> str:
    return f"cat <<'END'\n{lines}\nEND"


@pytest.fixture
def cpus_only(tmp_path: Path) -> Iterator[Path]:
    """A checkout on a cluster of CPU nodes, where a killed controller left a job; Slurm takes no new one."""
    folder, bin_ = tmp_path / "run", tmp_path / "bin"
    folder.mkdir()
    one = "\n".join(line for line in SHOW.splitlines() if "=cpu " in line)
    commands(
        bin_,
        scontrol=f"case $1 in ping) echo 'Slurmctld(primary) at head is UP';; *) {said(one)}\n;; esac",
        sinfo=said("\n".join(line for line in SINFO.splitlines() if "|cpu|" in line)),
        sacctmgr="case $* in *show*) echo 'lab||';; *) echo lab;; esac",
        squeue=f"[ -e {bin_}/ended ] || echo '{LEFT.format(folder=folder)}'",
        scancel=f"touch {bin_}/ended",
        sbatch="echo 'no job is taken' >&2; exit 1",
    )
    with checkout(folder):
        values = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
        del values["apptainer-args"], values["software-deployment-method"]
        values |= {"retries": 0, "keep-going": False}
        (folder / "slurm-test").mkdir()
        (folder / "slurm-test/config.yaml").write_text(yaml.safe_dump(values))
        (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
        yield folder


def started(folder: Path, target: str, *more: str, how: tuple[str, ...] = ("--profile", "slurm-test")) -> str:
    files = ["profiles/demo/recipe.yaml", "small.yaml"]
    path = f"{folder.parent / 'bin'}:{os.environ['PATH']}"
    done = snakemake(folder, *how, *more, "--configfile", *files, "--", target, PATH=path)
    assert done.returncode
    return done.stdout


def test_data_is_made_on_a_cluster_without_gpus_and_without_what_a_killed_controller_left(cpus_only: Path) -> None:
    text = started(cpus_only, "data", "--config", "launcher=here")
    assert "preflight stops this run" not in text and "gpu" not in text, text[-3000:]
    assert "cancelled 1 jobs that a killed controller had left" in text, text[-3000:]
    calls = [line.split()[0] for line in (cpus_only.parent / "bin/calls").read_text().splitlines()]
    assert calls.index("scancel") < calls.index("sbatch")


def test_a_queue_that_does_not_answer_is_one_sentence(cpus_only: Path) -> None:
    commands(cpus_only.parent / "bin2", squeue="echo 'Unable to contact slurm controller' >&2; exit 1")
    (cpus_only.parent / "bin2/squeue").replace(cpus_only.parent / "bin/squeue")
    text = started(cpus_only, "data")
    assert "preflight stops this run" not in text and "gpu" not in text, text[-3000:]
    assert "`squeue -h -r` failed (Unable to contact slurm controller)" in text and "Traceback" not in text, text


def test_a_training_that_finds_no_gpus_stops_before_its_data_is_made(cpus_only: Path) -> None:
    text = started(cpus_only, "sft")
    assert "preflight stops this run" in text and "there is no partition 'gpu'; there are cpu" in text
    assert "sbatch" not in (cpus_only.parent / "bin/calls").read_text()


def test_training_asks_for_the_qos_and_the_features_that_a_profile_names(cpus_only: Path) -> None:
    for made in ("sft/select/sft_train.parquet", "train/cpt/export/manifest.json"):
        (cpus_only / "results" / made).parent.mkdir(parents=True)
        (cpus_only / "results" / made).touch()
    named = ["--default-resources", "qos=long", "--set-resources", "train_sft:constraint='h100&ib'"]
    only = ["--config", "launcher=slurm", "--allowed-rules", "train_sft"]
    started(cpus_only, "results/train/sft/manifest.json", *named, *only, how=("--cores", "1"))
    script = (cpus_only / "results/train/sft/work/job.sh").read_text().splitlines()
    assert "#SBATCH --qos=long" in script and "#SBATCH --constraint=h100&ib" in script
    assert "no job is taken" in (cpus_only / "logs/train/sft.log").read_text()


def test_a_leftover_that_does_not_end_is_named_and_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    stuck = LEFT.format(folder=tmp_path).replace("RUNNING", "COMPLETING")
    monkeypatch.setenv("PATH", f"{commands(tmp_path / 'bin', squeue=said(stuck))}:{os.environ['PATH']}")
    monkeypatch.setattr(slurm, "LEFTOVER_S", 0.5)
    with pytest.raises(UserError, match="the job 11 COMPLETING, .* have not ended in 0 s; see `squeue -j 11`"):
        slurm.end_leftovers(tmp_path)
    assert "has left the job 11 COMPLETING in Slurm; waiting" in capsys.readouterr().err
