"""What keeps a browser in, beyond Chromium itself: found out once, then put in force for every browser.

In: the path of the browser, how much is asked for. Out: a `Containment`, the strongest that this machine grants, as
words for people and as the commands before the browser's own. Four things are tried, each by doing it: a user of its
own for each browser (if we are root; then the number of its processes and threads is limited too), Chromium's own
sandbox (which root cannot have and which needs user namespaces), a network namespace in which there is nothing, not
even loopback, and a control group for memory and processes. Where one is not to be had the rest still holds, and
`missing` says why. Finding out takes about 30 ms, each browser's commands about 5 ms.
"""

from __future__ import annotations

import functools
import os
import pwd
import random
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from artifactscoder.errors import UserError
from artifactscoder.render.cgroup import Parent
from artifactscoder.render.page import Sandbox

# Of no person and no installed service: systemd draws users for a moment from here, and so does this module.
UIDS = range(61184, 65520)
THREADS = 2048
"""Of one browser with a user or a control group of its own; an ordinary page needs about 100."""
INNER_SANDBOX = ("unshare", "--user", "--map-root-user", "--net", "--pid", "--fork", "true")
"""What Chromium's sandbox does first, and is refused if anything is."""
PROBE_SECONDS = 10
OFF = "ARTIFACTSCODER_CHROMIUM_SANDBOX"


@dataclass(frozen=True)
class Containment:
    """What is in force for each browser."""

    own_user: bool = False
    sandbox: bool = False
    no_network: bool = False
    groups: Parent | None = None
    missing: tuple[str, ...] = field(default=())
    """Why something is not in force, a clause each."""

    def user(self) -> int | None:
        """A user for one more browser: its number, that of its group as well; None where it stays the owner's."""
        return _free_uid() if self.own_user else None

    def commands(self, user: int | None) -> list[str]:
        """The commands that bring a process into it, each of which runs the rest of its line."""
        line: list[str] = []
        if self.no_network:
            mapped = [] if os.geteuid() == 0 else ["--user", "--map-current-user"]
            line += ["unshare", *mapped, "--net", "--"]
        if user is not None:
            ids = ["--reuid", str(user), "--regid", str(user)]
            line += ["setpriv", *ids, "--clear-groups", "--no-new-privs", "--", "prlimit", f"--nproc={THREADS}", "--"]
        return line

    def describe(self) -> str:
        """One line that says what is in force, and what is not and why."""
        user = "as users of their own" if self.own_user else f"as {_name_of(os.geteuid())}"
        sandbox = "in Chromium's sandbox" if self.sandbox else "without Chromium's sandbox"
        network = "without a network" if self.no_network else "with requests intercepted"
        memory = "memory limited by control groups" if self.groups else "memory limited a process and watched"
        reasons = f" ({'; '.join(self.missing)})" if self.missing else ""
        return f"browsers run {user}, {sandbox}, {network}, {memory}{reasons}"


def choose(executable: Path, wish: Sandbox = "auto") -> Containment:
    """The strongest containment here. With `require`, UserError unless it has Chromium's sandbox and no root."""
    found = _found(executable, os.environ.get(OFF, ""))
    if wish == "require" and not found.sandbox:
        reasons = "; ".join(found.missing) or "it was switched off"
        raise UserError(
            f"render.sandbox is require, but Chromium's sandbox cannot be had here: {reasons}. Run as an ordinary user "
            "where user namespaces are allowed, or set render.sandbox to auto"
        )
    return found


@functools.lru_cache
def _found(executable: Path, switched: str) -> Containment:
    missing: list[str] = []
    root = os.geteuid() == 0
    own_user = root and _becomes_another(executable, missing)
    user = UIDS[0] if own_user else None
    no_network = _runs(Containment(own_user, no_network=True).commands(user), missing, "no network namespace", "true")
    here = Containment(own_user, no_network=no_network).commands(user)
    if switched == "off":
        sandbox = False
        missing.append(f"no sandbox, because {OFF} is off")
    elif root and not own_user:
        sandbox = False
        missing.append("no sandbox, because Chromium refuses its own to root")
    else:
        sandbox = _runs(here, missing, "no sandbox, because user namespaces are not allowed", *INNER_SANDBOX)
        if not sandbox and no_network and not root:
            # A namespace within a namespace may be what is refused: the sandbox is worth more.
            bare: list[str] = []
            if _runs([], bare, "", *INNER_SANDBOX):
                sandbox, no_network, missing = True, False, ["no network namespace beside the sandbox"]
    groups = Parent.find()
    if groups is None:
        missing.append("no control group that is ours to divide")
    return Containment(own_user, sandbox, no_network, groups, tuple(missing))


def _becomes_another(executable: Path, missing: list[str]) -> bool:
    """Whether a browser can be run as another user: there are such users, and they reach its program and files."""
    if not all(_mapped(Path(f"/proc/self/{kind}_map")) for kind in ("uid", "gid")):
        missing.append("no users of their own, because this container has no other users")
        return False
    with tempfile.TemporaryDirectory(prefix="artifactscoder-probe-") as folder:
        try:
            os.chown(folder, UIDS[0], UIDS[0])
        except OSError as error:  # root by name only: without its capabilities
            missing.append(f"no users of their own, because root may not give them files here: {error.strerror}")
            return False
        reach = ("sh", "-c", 'test -x "$1" && test -w "$2"', "sh", str(executable), folder)
        commands = Containment(own_user=True).commands(UIDS[0])
        said = f"no users of their own, because they would not reach {executable} or {tempfile.gettempdir()}"
        return _runs(commands, missing, said, *reach)


def _mapped(table: Path) -> bool:
    """Whether all of UIDS exist in this user namespace."""
    try:
        rows = [[int(word) for word in line.split()] for line in table.read_text().splitlines()]
    except (OSError, ValueError):
        return False
    return any(first <= UIDS[0] and UIDS[-1] < first + count for first, _, count in rows)


def _runs(commands: Sequence[str], missing: list[str], said: str, *probe: str) -> bool:
    """Whether this line of commands succeeds; what it lacks otherwise is added to `missing`."""
    try:
        done = subprocess.run(
            [*commands, *probe], capture_output=True, timeout=PROBE_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        works, why = done.returncode == 0, done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
    except (OSError, subprocess.TimeoutExpired) as error:
        works, why = False, [str(error)]
    if not works:
        missing.append(": ".join([said, *why]))
    return works


def _free_uid() -> int:
    """One of UIDS that no account has and no process runs as. By chance, since other pools draw at the same time."""
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            taken.add(path.stat().st_uid)
        except OSError:
            continue
    return random.SystemRandom().choice([uid for uid in UIDS if uid not in taken])


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
