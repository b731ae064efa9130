"""demo: the whole line on one machine, by `snakemake demo --profile profiles/demo`, and what to know at its end.

Around Snakemake it does three things that a user of one machine should not have to think of. Two runs in the same
folder are refused. What a killed run left behind is dealt with: its processes are ended (they carry a mark in their
environment), its lock is removed. And it says at the end where the report is, how long it took and what was made.
"""

from __future__ import annotations

import fcntl
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from artifactscoder import tables
from artifactscoder.config.train import TRAINED
from artifactscoder.errors import UserError
from artifactscoder.train import watch

MARK = "ARTIFACTSCODER_RUN"
PROFILE = "profiles/demo"


def run(arguments: list[str]) -> int:
    """Run the demo with further Snakemake arguments; returns Snakemake's exit code."""
    if not Path("workflow/Snakefile").exists():
        raise UserError("there is no workflow/Snakefile here; run this in the root of the checkout")
    start = time.time()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # its words stand between Snakemake's
    folder = Path(".snakemake")
    folder.mkdir(exist_ok=True)
    with open(folder / "demo.lock", "w") as lock:  # noqa: SIM117 - the lock outlives what follows
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("the demo is running in this folder already; wait for it or stop it first") from None
        _end_leftovers()
        snakemake = [sys.executable, "-m", "snakemake", "--profile", PROFILE]
        if any((folder / "locks").glob("*")):
            subprocess.run([*snakemake, "--unlock"], check=True, capture_output=True)
            print("demo: a killed run had left its lock; it is removed, and the run goes on where that one was")
        code = _snakemake([*snakemake, "demo", *arguments])
    if code == 0 and "-n" not in arguments and "--dry-run" not in arguments:
        _farewell(start)
    return code


def _snakemake(command: list[str]) -> int:
    """Run Snakemake marked, pass on signals, and leave no process of it behind."""
    child = subprocess.Popen(command, env={**os.environ, MARK: str(Path.cwd())})
    previous = {
        number: signal.signal(number, lambda number, _: child.send_signal(number))
        for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:
                continue  # Snakemake got it too, and ends its jobs first
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        _end_leftovers()


def _end_leftovers() -> None:
    """Kill every process that carries this folder's mark."""
    ended = 0
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(Path.cwd()):
                process.kill()
                ended += 1
        except psutil.Error:
            continue
    if ended:
        print(f"demo: ended {ended} processes that a stopped run had left behind")


def _farewell(start: float) -> None:
    """Say what there is and where, for a run that began at `start` (Unix time)."""
    results = Path("results")
    report = results / "report/index.html"
    made = [
        ("SFT rows", "sft/select/sft_train.parquet"),
        ("RL training rows", "rl/parquet/rl_train.parquet"),
        ("RL validation rows", "rl/parquet/rl_val.parquet"),
        ("models compared", "eval/table.parquet"),
    ]
    if not all((results / path).exists() for _, path in made) or not report.exists():
        print(f"\ndemo: a part of the line is made, in {time.time() - start:.0f} s; `make demo` makes the rest")
        return
    if report.stat().st_mtime < start:
        print("\ndemo: nothing to do, everything is made and up to date:")
    else:
        print(f"\ndemo: done in {time.time() - start:.0f} s:")
    print("  made without a model (procedural) and trained by verl's own trainers")
    for what, path in made:
        print(f"  {tables.count(results / path):>6}  {what:<20} results/{path}")
    for name in TRAINED:
        folder = results / "train" / name
        if (folder / "manifest.json").exists():
            print(f"          model after {name:<8} {folder}/export/   {_learned(folder)}")
    print(f"  report: {report.resolve()}")


def _learned(folder: Path) -> str:
    """How a training began and how it ended, in the mean of a tenth of its steps (GRPO: a third)."""
    gain = json.loads((folder / "manifest.json").read_text()).get("gain")
    if gain:
        return watch.words(gain)
    losses = tables.column(folder / "curve.parquet", "loss")
    tenth = max(1, len(losses) // 10)
    first, last = (statistics.fmean(part) for part in (losses[:tenth], losses[-tenth:]))
    return f"loss {first:.2f} -> {last:.2f}"
