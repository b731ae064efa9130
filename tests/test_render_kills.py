"""Claims about what is killed while pages are rendered: supervisors, workers, browsers, and who owns them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from artifactscoder.errors import UserError
from artifactscoder.guard import descendants
from artifactscoder.render import Render, RenderClient, RenderOptions, RenderPool, RenderUnavailable
from artifactscoder.render import pool as pool_module
from artifactscoder.render.rendezvous import trainer_heartbeat
from artifactscoder.train.render_beside import render_beside
from checkout import ROOT
from render_replica import WORKFLOW, Replica, gone, marked, render_many

# Who keeps it running

SUPERVISOR = """
import asyncio, os, sys, time
from artifactscoder.render import supervisor
from artifactscoder.render.supervisor import supervise
from artifactscoder.errors import UserError
supervisor.MOST_DEATHS, supervisor.FIRST_PAUSE = 3, 0.05
way = sys.argv[1]
def work(beat, starts):
    print(os.getpid(), flush=True)
    if way == "bad":
        raise UserError("a sentence")
    if way == "crash":
        os.abort()
    while True:
        beat()
        time.sleep(0.05)
sys.exit(supervise(work, 1.0, hang_seconds=0.6))
"""


def supervised(way: str) -> subprocess.Popen[str]:
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    return subprocess.Popen(
        [sys.executable, "-c", SUPERVISOR, way],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_worker_that_dies_is_started_again_within_bounds() -> None:
    for way, code, starts, said in (
        ("crash", 1, 4, "was killed by signal 6, 4 deaths"),
        ("bad", 2, 1, "artifactscoder: a sentence"),
    ):
        process = supervised(way)
        out, err = process.communicate(timeout=30)
        assert (process.returncode, len(out.split())) == (code, starts), err
        assert said in err and "Traceback" not in err


def test_a_worker_that_hangs_is_replaced_and_nothing_outlives_the_supervisor() -> None:
    for way in (signal.SIGKILL, signal.SIGTERM):
        process = supervised("run")
        assert process.stdout is not None
        first = int(process.stdout.readline())
        os.kill(first, signal.SIGSTOP)
        second = int(process.stdout.readline())
        assert not alive(first) and alive(second)
        process.send_signal(way)
        assert process.wait(10) == (-signal.SIGKILL if way == signal.SIGKILL else 1)
        end = time.monotonic() + 5
        while alive(second) and time.monotonic() < end:
            time.sleep(0.02)
        assert not alive(second)
        process.stdout.close()


def chromium_of(processes: list[int]) -> int:
    """Of a browser's processes the one that leads the others; shells stand around it."""
    for number in processes:
        words = Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
        if not words[0].endswith(b"/sh") and b"--remote-debugging-pipe" in words:
            return number
    raise AssertionError


async def test_a_browser_that_dies_or_falls_silent_while_idle_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PING_EVERY", 0.2)
    monkeypatch.setattr(pool_module, "PING_SECONDS", 1.0)
    async with RenderPool(RenderOptions(width=400, height=300, timeout_s=15), browsers=2) as pool:
        stopped, killed = pool.running()
        os.kill(chromium_of(stopped.processes()), signal.SIGSTOP)
        os.kill(chromium_of(killed.processes()), signal.SIGKILL)
        async with asyncio.timeout(30):
            while pool.ended["silent"] < 1 or pool.ended["lost"] < 1 or len(pool.running()) < 2:
                await asyncio.sleep(0.05)
            shell = pool.running()[0]
            os.kill(shell.process.pid, signal.SIGKILL)  # the browser goes on, but nobody would tidy up after it
            while pool.ended["lost"] < 2 or len(pool.running()) < 2:
                await asyncio.sleep(0.05)
        assert not {stopped.marker, killed.marker} & {browser.marker for browser in pool.running()}
        assert (await pool.render("<h1>x</h1>")).verdict.rendered
    for browser in (stopped, killed, shell):
        assert gone(browser.marker) and not browser.profile.exists()


async def test_a_service_that_stops_refuses_what_is_new_and_finishes_what_it_has(directory: Path) -> None:
    replica = Replica(directory)
    headers = {"Authorization": f"Bearer {replica.token}"}
    endless = {"html": "<script>while (true) {}</script>", "options": {"timeout_s": 1.5}}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def ask(page: dict[str, Any]) -> tuple[int, str | None, Any]:
            async with session.post(replica.url + "/render", json=page) as answer:
                return answer.status, answer.headers.get("Retry-After"), await answer.json()

        accepted = [asyncio.create_task(ask(endless)), asyncio.create_task(ask({"html": "<h1>x</h1>"}))]
        while True:
            async with session.get(replica.url + "/health") as answer:
                if (await answer.json())["under_way"] == 2:
                    break
        replica.process.send_signal(signal.SIGTERM)
        status, after = 429, None
        while status != 503:
            status, after, _ = await ask({"html": "<h1>late</h1>", "options": {"width": 9999999}})
        assert after and not replica.notice.exists()
        answers = await asyncio.gather(*accepted)
    assert [answer[0] for answer in answers] == [200, 200]
    assert [answer[2]["verdict"]["reason"] for answer in answers] == ["timeout", "ok"]
    assert await asyncio.to_thread(replica.process.wait, 20) == 0


def test_the_service_beside_a_trainer_is_ready_when_training_starts_and_gone_after_it(directory: Path) -> None:
    with render_beside([ROOT / "config.yaml"], directory, 1, directory / "render.log"):
        (notice,) = directory.glob("replica-*.json")
        facts = json.loads(notice.read_text())

        async def use() -> Render:
            async with RenderClient(url=facts["url"], token=facts["token"]) as client:
                return await client.render("<h1>x</h1>")

        assert asyncio.run(use()).verdict.rendered
        service = [number for number in descendants(os.getpid()) if is_serving(number)]
        assert len(service) == 2  # the supervisor and its worker
        os.kill(max(service), signal.SIGKILL)
        assert asyncio.run(use()).verdict.rendered  # by another worker at the same address
    assert not any(alive(number) for number in service) and not notice.exists()
    with pytest.raises(UserError, match="did not start .*CHROMIUM names /no/such"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("CHROMIUM", "/no/such")
            with render_beside([ROOT / "config.yaml"], directory, 1, directory / "render.log"):
                raise AssertionError


def is_serving(number: int) -> bool:
    words = Path(f"/proc/{number}/cmdline").read_bytes()
    return b"render\0serve" in words and b"guard.py" not in words


BESIDE = """
import sys, time
from pathlib import Path
from artifactscoder.train.render_beside import render_beside
directory = Path(sys.argv[1])
with render_beside([Path("config.yaml")], directory, 1, directory / "render.log"):
    print("up", flush=True)
    time.sleep(600)
"""


def test_the_service_beside_a_trainer_ends_with_it_when_it_is_killed(directory: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    command = [sys.executable, "-c", BESIDE, str(directory)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as trainer:
        assert trainer.stdout is not None and trainer.stdout.readline() == "up\n"
        service = descendants(trainer.pid)
        assert sum(map(is_serving, service)) == 2 and any(map(is_chromium, service))
        trainer.kill()
    end = time.monotonic() + 15
    while any(map(alive, service)) and time.monotonic() < end:
        time.sleep(0.05)
    assert not any(map(alive, service)) and not list(directory.glob("replica-*.json"))


# Everything killed in the midst of many pages

TINY = {"width": 320, "height": 240, "timeout_s": 15, "first_ms": 200}


def busy(number: int, rounds: float) -> str:
    """A page whose script keeps the processor for a while."""
    return f"<h1>Page {number}</h1><script>let n = 0; for (let i = 0; i < {rounds:.0f}; i++) n += i % 7</script>"


def is_chromium(number: int) -> bool:
    with contextlib.suppress(OSError):
        return b"headless" in Path(f"/proc/{number}/exe").readlink().name.encode()
    return False


def resident_mb(number: int) -> float:
    return int(Path(f"/proc/{number}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


class Killers:
    """Kills browsers, workers and supervisors of a service that is started again whenever it is gone."""

    def __init__(self, directory: Path, seed: int) -> None:
        self.directory = directory
        self.chance = random.Random(seed)
        self.replica = Replica(directory, browsers=2, options=TINY)
        self.markers: set[str] = set()
        self.peak = 0.0

    async def strike(self, kind: str) -> None:
        """Kill one process with SIGKILL."""
        replica = self.replica
        async with asyncio.timeout(60):
            while len(found := replica.markers()) < 2 or not replica.worker():
                await asyncio.sleep(0.05)
        self.markers |= found
        for number in [replica.process.pid, *descendants(replica.process.pid)]:
            with contextlib.suppress(OSError):
                words = Path(f"/proc/{number}/cmdline").read_bytes() + Path(f"/proc/{number}/environ").read_bytes()
                assert replica.token.encode() not in words
        worker = replica.worker()
        self.peak = max(self.peak, resident_mb(worker))
        if kind == "browser":
            victims = [n for n in marked(self.chance.choice(sorted(found))) if is_chromium(n)]
            os.kill(self.chance.choice(victims), signal.SIGKILL)
        elif kind == "worker":
            os.kill(worker, signal.SIGKILL)
        else:
            await asyncio.to_thread(replica.stop, signal.SIGKILL)
            replica.notice.unlink()  # else the next one is taken for this one, by the test only
            self.replica = await asyncio.to_thread(Replica, self.directory, 2, None, TINY)

    def leftovers(self) -> list[str]:
        """Browsers of dead services that are still there."""
        found = self.markers | self.replica.markers()
        assert self.replica.stop() == 0, self.replica.log.read_text()
        assert self.replica.token not in self.replica.log.read_text()
        return [marker for marker in found if not gone(marker)]


async def survive(directory: Path, pages: int, rounds: float, kinds: list[str], every: int) -> dict[str, Any]:
    """Send all pages at once and kill something after every so many; all must come back rendered."""
    killers = Killers(directory, seed=pages)
    async with RenderClient(rendezvous=directory, patience_s=120) as client:
        sent = ((str(number), busy(number, rounds)) for number in range(pages))
        done: dict[str, Render | RenderUnavailable] = {}
        striking: list[asyncio.Task[None]] = []

        async def strikes() -> None:
            for number, kind in enumerate(kinds, 1):
                while len(done) < number * every:
                    await asyncio.sleep(0.02)
                await killers.strike(kind)

        striking.append(asyncio.create_task(strikes()))
        async for name, render in render_many(client, sent, at_once=pages):
            assert name not in done
            done[name] = render
        await striking[0]
        statistics = client.statistics
    left = killers.leftovers()
    assert left == []
    reasons = [r.verdict.reason if isinstance(r, Render) else "unavailable" for r in done.values()]
    seen = {reason: reasons.count(reason) for reason in set(reasons)}
    # Given time enough, an outage is waited out: none is even named, and none is a bad page.
    assert seen == {"ok": pages}
    for name, render in done.items():
        assert isinstance(render, Render) and render.verdict.visible_text == f"Page {name}"
    return {"seen": seen, "statistics": statistics, "peak_mb": killers.peak}


def test_sixty_four_pages_at_once_survive_the_death_of_everything(directory: Path) -> None:
    found = asyncio.run(survive(directory, 64, 5e6, ["browser", "worker", "supervisor"], every=12))
    assert found["statistics"].retries["lost"] >= 2
    assert found["peak_mb"] < 400


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_twenty_random_kills_over_five_hundred_pages_lose_none(directory: Path) -> None:
    chance = random.Random(20)
    kinds = [chance.choice(("browser", "worker", "supervisor")) for _ in range(20)]
    assert set(kinds) == {"browser", "worker", "supervisor"}
    began = time.monotonic()
    found = asyncio.run(survive(directory, 500, 3e7, kinds, every=22))
    print(f"{time.monotonic() - began:.0f} s", kinds, found)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_five_hundred_and_twelve_slow_pages_at_once_are_all_answered_in_bounded_memory(directory: Path) -> None:
    replica = Replica(directory, browsers=2, options=TINY)
    worker = replica.worker()
    peaks = {"client": 0.0, "worker": 0.0}

    async def crowd() -> list[Render]:
        async def weigh() -> None:
            while True:
                peaks["client"] = max(peaks["client"], resident_mb(os.getpid()))
                peaks["worker"] = max(peaks["worker"], resident_mb(worker))
                await asyncio.sleep(0.1)

        weighing = asyncio.create_task(weigh())
        filler = "<!--" + "x" * 40_000 + "-->"
        async with RenderClient(rendezvous=directory) as client:
            pages = [busy(number, 1e8) + filler for number in range(512)]
            renders = await asyncio.gather(*(client.render(page) for page in pages))
        weighing.cancel()
        print(client.statistics)
        return renders

    before = {"client": resident_mb(os.getpid()), "worker": resident_mb(worker)}
    began = time.monotonic()
    renders = asyncio.run(crowd())
    seconds = sorted(render.verdict.seconds for render in renders)
    print(f"{time.monotonic() - began:.0f} s; a page {seconds[0]} to {seconds[-1]} s, median {seconds[256]}")
    print("MB before and at the peak:", before, peaks)
    assert [render.verdict.visible_text for render in renders] == [f"Page {number}" for number in range(512)]
    assert {render.verdict.reason for render in renders} == {"ok"}
    assert peaks["worker"] - before["worker"] < 150 and peaks["client"] - before["client"] < 150
    assert replica.worker() == worker
    assert replica.stop() == 0


# Owners that end

OWNER = """
import asyncio, sys
from artifactscoder.render import RenderOptions, RenderPool
async def main():
    async with RenderPool(RenderOptions(timeout_s=60), browsers=1) as pool:
        browser = pool._places[0].browser
        print(browser.marker, browser.profile, flush=True)
        if sys.argv[1] == "raise":
            raise ValueError
        if sys.argv[1] == "hang":
            await pool.render("<script>while (true) {}</script>")
asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["return", "raise", "SIGTERM", "SIGKILL"])
def test_nothing_is_left_behind_on_any_way_out(way: str) -> None:
    by_signal = way.startswith("SIG")
    command = [sys.executable, "-c", OWNER, "hang" if by_signal else way]
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as owner:
        assert owner.stdout is not None
        marker, profile = owner.stdout.readline().split()
        if by_signal:
            time.sleep(0.5)
            assert marked(marker)
            owner.send_signal(getattr(signal, way))
        owner.wait(20)
    assert gone(marker)
    end = time.monotonic() + 2
    while Path(profile).exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not Path(profile).exists()


def test_a_service_serves_the_trainer_that_came_after_it_and_ends_under_the_next(directory: Path) -> None:
    with trainer_heartbeat(directory):
        pass  # one that has just been killed
    replica = Replica(directory)
    with trainer_heartbeat(directory):
        time.sleep(1)
        assert replica.process.poll() is None
    with trainer_heartbeat(directory):
        assert replica.process.wait(20) == 0


def test_a_service_ends_when_its_owner_ends(directory: Path) -> None:
    replica = Replica(directory)
    heartbeat = directory / "trainer.json"
    heartbeat.write_text("{}")
    time.sleep(1)
    assert replica.process.poll() is None
    long_ago = time.time() - 121
    os.utime(heartbeat, (long_ago, long_ago))
    assert replica.process.wait(20) == 0
    (directory / "end").touch()
    with pytest.raises(AssertionError):
        Replica(directory)
