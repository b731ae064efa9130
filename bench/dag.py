"""How long `snakemake -n` of the target `all` takes at the paper's scale, and how many jobs it plans.

The whole command is timed, as a user waits for it, in an empty folder that links to the checkout, so that no earlier
run shortens it. The last line is JSON: `seconds` (median) and `jobs`. `--quick` times 3 runs, else 7.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="3 runs instead of 7")
    runs = 3 if parser.parse_args().quick else 7
    command = [sys.executable, "-m", "snakemake", "-n", "all", "--quiet", "reason"]
    environment = {**os.environ, "REFERENCE_API_KEY": "unused"}
    seconds, jobs = [], 0
    with tempfile.TemporaryDirectory() as folder:
        for name in ("workflow", "rules", "config.yaml", "profiles", "containers", "envs"):
            (Path(folder) / name).symlink_to(ROOT / name)
        for number in range(runs):
            start = time.perf_counter()
            done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
            seconds.append(time.perf_counter() - start)
            if done.returncode:
                sys.exit(f"bench/dag: {' '.join(command)} failed:\n{done.stderr[-2000:]}")
            found = re.search(r"^total\s+(\d+)", done.stdout + done.stderr, re.MULTILINE)
            if not found:
                sys.exit("bench/dag: the dry run names no total")
            jobs = int(found.group(1))
            print(f"run {number + 1} of {runs}: {seconds[-1]:.2f} s, {jobs} jobs")
    print(json.dumps({"seconds": round(statistics.median(seconds), 2), "jobs": jobs}))


if __name__ == "__main__":
    main()
