"""Claims about what keeps browsers in, checked on the processes themselves, as root and as an ordinary user."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactscoder.errors import UserError
from artifactscoder.render import RenderOptions, RenderPool, cgroup, chromium
from artifactscoder.render.containment import OFF, THREADS, UIDS, Containment, choose
from hostile_pages import Canary

WORKFLOW = Path(chromium.__file__).parents[2]
OPTIONS = RenderOptions(width=800, height=600, timeout_s=15)
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A place for profiles that every user reaches."""
    made = Path(tempfile.mkdtemp(prefix="contained-"))
    made.chmod(0o1777)
    yield made
    shutil.rmtree(made)


def facts_of(number: int) -> dict[str, str]:
    """User, limit of threads, namespaces and command line of a process; nothing if it has ended."""
    process = Path(f"/proc/{number}")
    with contextlib.suppress(OSError, IndexError):
        return {
            "user": (process / "status").read_text().partition("Uid:")[2].split()[0],
            "threads": (process / "limits").read_text().partition("Max processes")[2].split()[0],
            "network": os.readlink(process / "ns/net"),
            "space": os.readlink(process / "ns/user"),
            "command": (process / "cmdline").read_text(errors="replace"),
        }
    return {}


def test_what_is_said_to_be_in_force_is_in_force() -> None:
    async def look() -> None:
        async with RenderPool(OPTIONS, browsers=2) as pool:
            chosen = pool.containment
            users: set[str] = set()
            own = os.readlink("/proc/self/ns/net")
            for place in pool._places:
                assert place.browser is not None
                assert place.browser.memory_mb() > 20
                # The first is the shell that waits. Of the others some end at any time.
                facts = [found for number in place.browser.processes()[1:] if (found := facts_of(number))]
                assert len(facts) >= 3
                if chosen.own_user:
                    (user,) = {one["user"] for one in facts}
                    assert int(user) in UIDS
                    users.add(user)
                    assert {one["threads"] for one in facts} == {str(THREADS)}
                if chosen.no_network:
                    assert own not in {one["network"] for one in facts}
                if chosen.sandbox:
                    assert not any("--no-sandbox" in one["command"] for one in facts)
                    assert len({one["space"] for one in facts}) > 1
            assert not chosen.own_user or len(users) == 2
            assert (await pool.render("<h1>Kept in</h1>")).verdict.rendered

    asyncio.run(look())


def test_without_a_network_not_even_loopback_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beneath every other measure: with no interception and no dead proxy, the namespace alone keeps requests in."""
    chosen = choose(chromium.find())
    if not chosen.no_network:
        pytest.skip(chosen.describe())
    canary = Canary()
    page = [
        "--headless",
        "--no-sandbox",
        "--virtual-time-budget=1000",
        "--dump-dom",
        f"http://127.0.0.1:{canary.port}/",
    ]
    for commands, heard in ((chosen.commands(None), False), ([], True)):
        with tempfile.TemporaryDirectory() as profile:
            command = [*commands, str(chromium.find()), f"--user-data-dir={profile}", *page]
            subprocess.run(command, capture_output=True, timeout=60, check=False)
        assert bool(canary.heard) is heard
    canary.close()


def test_a_sandbox_that_is_required_and_not_to_be_had_is_refused_in_a_sentence(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(OFF, "off")
    assert not choose(chromium.find()).sandbox
    with pytest.raises(UserError, match="render.sandbox is require"):
        choose(chromium.find(), "require")

    async def start() -> None:
        async with RenderPool(RenderOptions(sandbox="require"), browsers=1):
            pass

    with pytest.raises(UserError, match="render.sandbox is require"):
        asyncio.run(start())


def test_what_is_missing_is_said() -> None:
    none = Containment(missing=("no sandbox, because it is a test",))
    assert "without Chromium's sandbox" in none.describe() and "it is a test" in none.describe()
    assert none.user() is None and none.commands(None) == []


RENDER = """
import asyncio, os, sys
from artifactscoder.render import RenderOptions, RenderPool
async def main():
    async with RenderPool(RenderOptions(width=800, height=600, timeout_s=20), browsers=1) as pool:
        render = await pool.render("<h1>Rendered</h1>")
        browser = pool._places[0].browser
        print(os.geteuid(), render.verdict.reason, browser.memory_mb() > 20, pool.containment.describe())
        profile = browser.profile
    assert not profile.exists()
asyncio.run(main())
"""


def rendered(*commands: str, folder: Path) -> str:
    """What RENDER says when it is run by these commands."""
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW), "TMPDIR": str(folder), "HOME": str(folder)}
    command = [*commands, sys.executable, "-c", RENDER]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@AS_ROOT
def test_an_ordinary_user_has_the_sandbox_too(folder: Path) -> None:
    drop = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--")
    reach = subprocess.run(
        [*drop, sys.executable, "-c", "import artifactscoder"],
        env=os.environ | {"PYTHONPATH": str(WORKFLOW)},
        capture_output=True,
        check=False,
    )
    if reach.returncode:
        pytest.skip("this checkout or its Python cannot be reached by another user")
    said = rendered(*drop, folder=folder)
    assert said.startswith("65534 ok True browsers run as")
    if choose(chromium.find()).sandbox:
        assert "in Chromium's sandbox" in said and "without a network" in said


@AS_ROOT
def test_root_of_a_container_without_other_users_renders_without_the_sandbox_and_says_so(folder: Path) -> None:
    container = ("unshare", "--user", "--map-root-user", "--")
    if subprocess.run([*container, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    said = rendered(*container, folder=folder)
    assert said.startswith("0 ok True browsers run as root, without Chromium's sandbox")
    assert "this container has no other users" in said


@AS_ROOT
def test_root_without_its_capabilities_renders_and_says_what_is_missing(folder: Path) -> None:
    said = rendered("setpriv", "--bounding-set=-all", "--inh-caps=-all", "--", folder=folder)
    assert said.startswith("0 ok True browsers run as root, without Chromium's sandbox")
    assert "root may not give them files here" in said


STARTER = """
import asyncio, os, sys, tempfile
from artifactscoder.render import RenderOptions, RenderPool
async def main():
    print("starting", flush=True)
    async with RenderPool(RenderOptions(timeout_s=60), browsers=2) as pool:
        await asyncio.sleep(60)
asyncio.run(main())
"""


@pytest.mark.parametrize("delay", [0.03, 0.1, 0.2, 0.4])
def test_an_owner_killed_while_browsers_start_leaves_nothing(folder: Path, delay: float) -> None:
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW), "TMPDIR": str(folder)}
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        time.sleep(delay)
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
    end = time.monotonic() + 30
    while (left := running_at(folder)) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []
    while list(folder.iterdir()) and time.monotonic() < end:
        time.sleep(0.05)
    # A folder made in the very moment of the end, in which no browser ever was, may remain: it is empty.
    assert [path for made in folder.iterdir() for path in made.iterdir()] == []


def running_at(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"--user-data-dir={folder}" in path.read_text(errors="replace"):
                found.append(int(path.parent.name))
    return found


# Control groups: on a folder laid out as one, since few machines hand one to their tests


@pytest.fixture
def groups(tmp_path: Path) -> Path:
    own = tmp_path / "cgroup/service"
    own.mkdir(parents=True)
    (own / "cgroup.controllers").write_text("cpu memory pids\n")
    (own / "cgroup.subtree_control").write_text("")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (tmp_path / "self").write_text("1:name=systemd:/\n0::/service\n")
    return tmp_path


def test_a_control_group_is_divided_only_if_it_is_ours_alone(groups: Path) -> None:
    own, line = groups / "cgroup/service", groups / "self"
    found = cgroup.Parent.find(groups / "cgroup", line)
    assert found is not None and found.folder == own
    assert (own / "owner/cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+memory +pids"
    made = found.make("browser", 3000, 100)
    assert (made / "memory.max").read_text() == str(3000 << 20) and (made / "pids.max").read_text() == "100"
    assert not cgroup.overflowed(made)
    (made / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 1\n")
    assert cgroup.overflowed(made)
    # Somebody else is in the group, it lacks a controller, or there is only version 1: none.
    (own / "cgroup.subtree_control").write_text("")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n1\n")
    assert cgroup.Parent.find(groups / "cgroup", line) is None
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    (own / "cgroup.controllers").write_text("cpu pids\n")
    assert cgroup.Parent.find(groups / "cgroup", line) is None
    line.write_text("1:memory:/\n")
    assert cgroup.Parent.find(groups / "cgroup", line) is None
