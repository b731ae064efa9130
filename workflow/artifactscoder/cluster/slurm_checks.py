"""The checks of `artifactscoder preflight` that ask Slurm: account, partitions, what rules ask, a compute node."""

from __future__ import annotations

import getpass
import grp
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from artifactscoder.cluster import slurm
from artifactscoder.cluster.checks import Finding, fail, ok, warn
from artifactscoder.cluster.profile import TRAINERS, Ask, Profile
from artifactscoder.config import Config
from artifactscoder.errors import UserError

SKEW_S = 1.0
PATIENCE_S = 120.0


def cluster(config: Config, profile: Profile) -> Iterator[Finding]:
    """Slurm answers, the account is the user's, partitions exist, and some node holds what each rule asks."""
    if not profile.slurm:
        yield ok("slurm", f"not used: {profile.path} names no executor slurm")
        return
    try:
        ping = slurm.run("scontrol", "ping", seconds=10)
        if " UP" not in ping:
            raise UserError("no slurmctld is up; ask the site")
        partitions, nodes = slurm.partitions(), slurm.nodes()
    except UserError as error:
        yield fail("slurm", str(error), "nothing can be submitted from here until this is mended")
        return
    yield ok("slurm", f"the controller answers; partitions {', '.join(sorted(partitions))}")
    asks = profile.asks(config)
    associations: list[tuple[str, str]] = []
    try:
        associations = slurm.associations()
    except UserError as error:
        yield warn("account", f"cannot be checked, accounting is off or silent: {error}")
    else:
        for account in dict.fromkeys([profile.account, *(ask.account for ask in asks if ask.account)]):
            yield _account(account, associations, profile)
    accounts: dict[str, set[str]] = {}
    for ask in asks:
        accounts.setdefault(ask.partition, set()).add(ask.account.lower())
    told: dict[Finding, None] = {}
    for listed, users in accounts.items():
        found = {
            name: _partition(name, partitions, [n for n in nodes if n.partition == name], profile, users, associations)
            for name in _names(listed)
        }
        usable = any(finding.mark != "FAIL" for finding in found.values())
        for name, finding in found.items():
            spare = usable and finding.mark == "FAIL" and name in partitions  # Slurm refuses a list with unknown names
            told[warn("partition", f"{finding.detail}; of {listed} another will do") if spare else finding] = None
    yield from told
    open_ones = {name: partition for name, partition in partitions.items() if partition.state == "up"}
    fine = 0
    for ask in asks:
        troubles = []
        for name in _names(ask.partition):
            if not name or name in open_ones:
                limit = open_ones[name].minutes if name else None
                there = [n for n in nodes if name in ("", n.partition)]
                troubles.append(_fits(replace(ask, partition=name), limit, there, profile))
        if troubles:  # of several partitions one is enough, but it must hold the whole job
            trouble = min(troubles, key=lambda found: [finding.mark for finding in found].count("FAIL"))
            yield from trouble
            fine += not trouble
    yield from trainers(config, profile)
    if fine:
        yield ok("rules", f"what {fine} of {len(asks)} rules ask is there")


def _names(partition: str) -> list[str]:
    """The partitions of `slurm_partition`, which may be a list as sbatch takes it; one empty name for the default."""
    return [name.strip() for name in partition.split(",")]


def _account(account: str, associations: list[tuple[str, str]], profile: Profile) -> Finding:
    user, accounts = getpass.getuser(), sorted({name for name, _ in associations})
    if not accounts:
        return warn("account", f"the accounting knows no account of {user}")
    listed = f"{user} may use {', '.join(accounts)}"
    if not account:
        return warn("account", f"the profile names no slurm_account; {listed}")
    if account.lower() not in accounts:
        remedy = f"set slurm_account in {profile.path} to one of them"
        return fail("account", f"'{account}' is no account of {user}: {listed}", remedy)
    return ok("account", f"{account} of {user}")


def _partition(
    name: str,
    known: dict[str, slurm.Partition],
    nodes: list[slurm.Node],
    profile: Profile,
    accounts: set[str],
    associations: list[tuple[str, str]],
) -> Finding:
    """`accounts`: those of the rules that name the partition, lower case; nothing for the user's default."""
    what, remedy = "partition", f"correct slurm_partition in {profile.path}"
    if not name:
        return warn(what, "some rules name none; Slurm's default is taken")
    if name not in known:
        return fail(what, f"there is no partition '{name}'; there are {', '.join(sorted(known))}", remedy)
    partition = known[name]
    if partition.state != "up":
        return fail(what, f"{name} is {partition.state}", f"wait until the site opens it, or {remedy}")
    for account in sorted(filter(None, accounts)):
        allowed = partition.accounts
        if account in partition.denied or (allowed is not None and account not in allowed):
            takes = f"; it takes {', '.join(sorted(allowed))}" if allowed else ""
            return fail(what, f"the account {account} may not use {name}{takes}", f"{remedy}, or slurm_account")
        limited = {where for who, where in associations if who == account}
        if limited and "" not in limited and name.lower() not in limited:
            return fail(what, f"the account {account} may use {', '.join(sorted(limited))}, not {name}", remedy)
    if partition.groups is not None and os.getuid() and not partition.groups & _groups():
        return fail(what, f"{name} is for the groups {', '.join(sorted(partition.groups))}", remedy)
    usable = sum(node.usable for node in nodes)
    words = f"{name} is up, {usable} of {len(nodes)} nodes usable"
    return ok(what, words) if usable else fail(what, words, f"wait, or {remedy}")


def _groups() -> set[str]:
    names = set()
    for number in {os.getgid(), *os.getgroups()}:
        try:
            names.add(grp.getgrgid(number).gr_name.lower())
        except KeyError:
            continue
    return names


def _fits(ask: Ask, limit: float | None, nodes: list[slurm.Node], profile: Profile) -> list[Finding]:
    """What a rule asks that is not there; nothing where all is well."""
    out, where = [], ask.partition or "the default partition"
    fitting = [n for n in nodes if n.gpus >= ask.gpus and n.cpus >= ask.cpus and n.memory_mb >= ask.memory_mb]
    if len(fitting) < ask.nodes:
        gpus = f"{ask.gpus} GPUs, " if ask.gpus else ""
        wants = f"{ask.nodes} node{'s' if ask.nodes > 1 else ''} of {gpus}{ask.cpus} CPUs and {ask.memory_mb} MB"
        kinds = Counter((n.gpus, n.cpus, n.memory_mb) for n in nodes).most_common(3)
        there = "; ".join(f"{count} of {kind[0]} GPUs, {kind[1]} CPUs, {kind[2]} MB" for kind, count in kinds)
        detail = f"{ask.rule} asks {wants}; {where} has {there or 'no nodes'}"
        remedy = f"lower mem_mb, gpu, nodes or CPUs of {ask.rule.split()[0]} in {profile.path}"
        out.append(fail("rule", detail, remedy))
    elif sum(n.usable for n in fitting) < ask.nodes:
        words = f"{ask.rule}: {len(fitting)} nodes of {where} would do, but are down or drained now"
        out.append(warn("rule", words))
    if limit is not None and ask.minutes > limit:
        detail = f"{ask.rule} asks {ask.minutes:.0f} minutes; {where} ends jobs after {limit:.0f}"
        out.append(fail("rule", detail, f"lower `runtime` of {ask.rule.split()[0]} in {profile.path}"))
    return out


def trainers(config: Config, profile: Profile) -> Iterator[Finding]:
    """Whether the trainers get as many GPUs as the configuration says."""
    for ask in profile.asks(config):
        if ask.rule not in TRAINERS:
            continue
        name = TRAINERS[ask.rule]
        settings = getattr(config.train, name)
        if settings not in config.train.trainers:
            continue
        wanted = (settings.nodes, settings.gpus_per_node if settings.device == "cuda" else 0)
        if wanted[1] and wanted != (ask.nodes, ask.gpus):
            remedy = f"make gpu of {ask.rule} in {profile.path} and train.{name}.gpus_per_node the same"
            if wanted[0] != ask.nodes:
                remedy = f"take `nodes` of {ask.rule} out of {profile.path}: train.{name}.nodes is asked for by itself"
            yield fail(
                "rule",
                f"{ask.rule} asks {ask.nodes} x {ask.gpus} GPUs; train.{name} is for {wanted[0]} x {wanted[1]}",
                remedy,
            )


# From a compute node


def compute(config: Config, profile: Profile, configs: list[Path]) -> Iterator[Finding]:
    """The clock of a compute node, and endpoints, binds and file system as it finds them, by two jobs of seconds."""
    if not profile.slurm:
        yield warn("compute node", "not asked: the profile names no executor slurm")
        return
    partition = str(profile.defaults.get("slurm_partition") or "").strip("\"' ")
    options = [f"--partition={partition}"] * bool(partition) + [f"--account={profile.account}"] * bool(profile.account)
    srun = ("srun", *options, "--job-name=preflight", "--time=2", "--nodes=1", "--ntasks=1", "--mem=800")
    try:
        start = time.time()
        node, there = slurm.run(
            *srun, "sh", "-c", 'echo "${SLURMD_NODENAME:-$(uname -n)}"; date +%s.%N', seconds=PATIENCE_S
        ).split()[-2:]
        skew = max(start - float(there), float(there) - time.time(), 0.0)
        if skew > SKEW_S:
            yield warn(
                "clock",
                f"{node} is {skew:.1f} s off this machine",
                "ask the site to mend NTP; times decide what reruns",
            )
        else:
            yield ok("clock", f"{node} agrees with this machine")
        named = [word for path in configs for word in ("--config", str(path.absolute()))]
        program = [sys.executable, "-m", "artifactscoder.cli", "preflight", "--only", "endpoints", "binds", "latency"]
        root = str(Path(__file__).resolve().parents[2])
        path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
        words = [*program, "--profile", str(profile.path.absolute()), *named]
        text = slurm.run(
            *srun, "sh", "-c", '"$@" || true', "-", "env", f"PYTHONPATH={path}", *words, seconds=PATIENCE_S
        )
    except UserError as error:
        yield fail("compute node", str(error), "see whether `srun` starts a job at all, and whether nodes are free")
        return
    except ValueError:
        yield fail("compute node", "srun came back without a clock", "try `srun date` by hand")
        return
    yield from _parsed(text, node)


def _parsed(text: str, node: str) -> Iterator[Finding]:
    """The findings of another preflight's screen, said to be of `node`."""
    found: list[Finding] = []
    for line in text.splitlines():
        mark, _, rest = line.partition(" ")
        if mark in ("ok", "warn", "FAIL") and "  " in rest.strip():
            what, _, detail = rest.strip().partition("  ")
            found.append(Finding(mark, what, f"from {node}: {detail.strip()}"))
        elif line.strip().startswith("-> ") and found:
            last = found[-1]
            found[-1] = Finding(last.mark, last.what, last.detail, line.strip()[3:])
    if not found:
        yield fail("compute node", f"{node} could not run its checks", "see that it reaches this checkout")
    yield from found
