"""preflight: look ahead, before anything is submitted, at what would stop the run later.

In come the profile and the configuration as Snakemake would take them; out goes one screen, a line a check: `ok`,
`warn` or `FAIL`, what was looked at, what was found, and under each FAIL what to do. The exit code is 1 when anything
fails. Checked are: Slurm's controller, the account, partitions, and whether nodes hold what each rule asks; images and
binds; endpoints and their keys (never shown); the base model; disk, inodes, file counts and the file system's pace.

With --from-compute two jobs of a few seconds compare the clock of a compute node, and look at endpoints, binds and the
file system from there too. Nothing else is submitted. It takes a second or two, longer only where something does not
answer (10 s an endpoint, all at once).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path

from artifactscoder.cluster import checks, disk_checks, endpoint_checks, slurm_checks
from artifactscoder.cluster.checks import Check, Finding, fail
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.errors import UserError

CHECKS: dict[str, Check] = {
    "slurm": slurm_checks.cluster,
    "images": checks.images,
    "binds": checks.binds,
    "keys": checks.keys,
    "endpoints": endpoint_checks.endpoints,
    "model": checks.model,
    "memory": checks.memory,
    "disk": disk_checks.disk,
    "files": disk_checks.files,
    "latency": disk_checks.latency,
}
SLOW = ("endpoints", "latency")


def run(configs: list[Path], profile: Path, only: list[str], from_compute: bool) -> int:
    """Print the screen; 1 when a check failed, else 0. `configs` empty: config.yaml and the profile's own."""
    for name in only:
        if name not in CHECKS:
            raise UserError(f"there is no check '{name}'; there are {', '.join(CHECKS)}")
    plan = Profile(profile)
    config = plan.config(configs)
    failed = warned = 0
    for finding in _findings(config, plan, only or list(CHECKS), configs if from_compute else None):
        print(finding, flush=True)
        failed += finding.mark == "FAIL"
        warned += finding.mark == "warn"
    if not only:
        print(f"\n{failed} failed, {warned} warned" + ("" if failed else "; the run can start"))
    return 1 if failed else 0


def _findings(config: Config, profile: Profile, only: list[str], compute: list[Path] | None) -> Iterator[Finding]:
    for name in only:
        try:
            yield from CHECKS[name](config, profile)
        except UserError as error:
            yield fail(name, str(error), "correct that first")
    if compute is not None:
        yield from slurm_checks.compute(config, profile, compute)


def red_lines(config: Config, profile: Path, rules: Collection[str] | None = None) -> list[str]:
    """What fails among the checks that are fast (no network but Slurm's controller, no jobs), as the screen says it.

    `profile` is the folder or file of a Snakemake profile, `rules` those that the run has jobs of (default: all).
    Raises UserError where the profile cannot be read.
    """
    fast = [name for name in CHECKS if name not in SLOW]
    return [str(f) for f in _findings(config, Profile(profile, rules), fast, None) if f.mark == "FAIL"]
