"""`train launch` on a Slurm whose jobs end at once: what it makes of what they leave. tests/cluster has a real one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artifactscoder.train import runs
from artifactscoder.train.verl_stop import CONTINUED

SBATCH = """#!/bin/bash
# Job number N saves what the N-th line of `jobs` says (run, step) and ends with the code there.
for script; do [[ $script != --comment=* ]] || echo "${script#*=}" > "$(dirname "$0")/comment"; done
work=$(dirname "$script")
number=$(($(cat "$work/number" 2> /dev/null || echo 0) + 1))
echo $number | tee "$work/number"
read -r run step code < <(sed -n ${number}p "$work/jobs")
mkdir -p "$work/$run/checkpoints"
echo -n $step > "$work/$run/checkpoints/TRACKER"
echo "$number $code" > "$work/exit"
"""
COMMANDS = {
    "sbatch": SBATCH.replace("TRACKER", runs.TRACKER),
    "squeue": '#!/bin/bash\n[[ "$*" != *--name=* ]] || cat "$(dirname "$0")/live" 2> /dev/null || true\n',
    "scontrol": "#!/bin/bash\necho JobId=$5 JobState=FAILED\n",
}


def launch(folder: Path, jobs: list[tuple[str, int, int]]) -> subprocess.CompletedProcess[str]:
    """`train launch` in `folder`, whose jobs do as told: (run, step that it saves, exit code)."""
    work, commands = folder / "work", folder / "bin"
    for path in (work, commands):
        path.mkdir(exist_ok=True)
    for name, text in COMMANDS.items():
        (commands / name).write_text(text)
        (commands / name).chmod(0o755)
    (work / "jobs").write_text("".join(f"{run} {step} {code}\n" for run, step, code in jobs))
    (folder / "slurm.yaml").write_text("launcher: slurm\n")
    command = [sys.executable, "-m", "artifactscoder.cli", "train", "launch", "--config", "config.yaml"]
    command += ["--config", str(folder / "slurm.yaml"), "--work", str(work), "--resources", "nodes=1", "--"]
    env = {**os.environ, "PATH": f"{commands}:{os.environ['PATH']}"}
    return subprocess.run([*command, "train", "sft"], env=env, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("older", [0, 500])
def test_a_run_that_saved_is_sent_again_however_far_another_in_its_folder_came(tmp_path: Path, older: int) -> None:
    if older:
        (tmp_path / "work/old/checkpoints").mkdir(parents=True)
        (tmp_path / "work/old/checkpoints" / runs.TRACKER).write_text(str(older))
    done = launch(tmp_path, [("new", 125, CONTINUED), ("new", 250, CONTINUED), ("new", 300, 0)])
    assert done.returncode == 0, done.stderr
    for attempt, step in ((2, 125), (3, 250)):
        assert f"with checkpoints up to step {step}: sent again (attempt {attempt})" in done.stderr


def test_a_run_that_did_not_save_is_not_sent_again(tmp_path: Path) -> None:
    done = launch(tmp_path, [("new", 125, CONTINUED), ("new", 125, CONTINUED), ("new", 125, CONTINUED)])
    assert done.returncode == 2 and "job 2 reached its time limit without a new checkpoint" in done.stderr


def test_a_job_that_saved_before_it_was_attached_to_is_sent_again(tmp_path: Path) -> None:
    jobs = [("new", 125, CONTINUED), ("new", 125, CONTINUED), ("new", 300, 0)]
    assert launch(tmp_path, jobs).returncode == 2  # job 2 saved, and its launcher was gone by then
    (tmp_path / "bin/live").write_text("2|" + (tmp_path / "bin/comment").read_text())
    done = launch(tmp_path, jobs)
    assert done.returncode == 0 and "attached to job 2" in done.stderr, done.stderr
    assert (
        "job 2 saved and ended before its time limit" in done.stderr and "job 3 ended with exit code 0" in done.stderr
    )
