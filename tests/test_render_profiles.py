"""Claims about the folders that browsers leave when whoever should delete them was killed too."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from artifactscoder.render import RenderOptions, RenderPool, RenderUnavailable, chromium, profiles
from artifactscoder.render import pool as pool_module

WORKFLOW = Path(chromium.__file__).parents[2]
MAKER = "from artifactscoder.render import profiles; print(profiles.make())"


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A temporary folder of this test's own that every user reaches, for it and the processes that it starts."""
    made = Path(tempfile.mkdtemp(prefix="profiles-"))
    made.chmod(0o1777)
    monkeypatch.setenv("TMPDIR", str(made))
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    yield made
    shutil.rmtree(made)


def of_a_dead_process() -> Path:
    environment = os.environ | {"PYTHONPATH": str(WORKFLOW)}
    made = subprocess.run([sys.executable, "-c", MAKER], env=environment, capture_output=True, text=True, check=True)
    return Path(made.stdout.strip())


def test_a_pool_deletes_what_dead_owners_left_and_nothing_else(folder: Path) -> None:
    dead = of_a_dead_process()
    (dead / "Default").mkdir()
    (dead / "Default/Cookies").write_text("crumbs")
    precious = folder / "precious"
    precious.mkdir()
    (dead / "link").symlink_to(precious)
    (precious / "file").write_text("kept")
    elsewhere = folder / dead.name.replace(f"-{profiles._space()}-", "-00000000-")
    elsewhere.mkdir()
    link = folder / (dead.name + "1")
    link.symlink_to(precious)
    plain = folder / (profiles.PREFIX + "abcdefgh")
    plain.mkdir()
    mine = profiles.make()
    # The number of a dead process may be that of a living one by now.
    words = mine.name.split("-")
    taken = folder / "-".join([*words[:4], str(int(words[4]) + 1), "abcd"])
    taken.mkdir()

    async def start() -> None:
        async with RenderPool(RenderOptions(width=320, height=240, mirror=False), browsers=1):
            pass

    asyncio.run(start())
    assert not dead.exists() and not taken.exists()
    assert {path.name for path in folder.iterdir()} >= {elsewhere.name, link.name, plain.name, mine.name}
    assert (precious / "file").read_text() == "kept"


async def test_a_full_temporary_folder_costs_a_pool_neither_its_places_nor_descriptors(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module, "PING_EVERY", 0.1)
    refused = 0

    def full() -> Path:
        nonlocal refused
        refused += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with RenderPool(RenderOptions(width=320, height=240, mirror=False), browsers=1) as pool:
        with monkeypatch.context() as patch:
            patch.setattr(profiles, "make", full)
            os.kill(pool.running()[0].process.pid, signal.SIGKILL)
            async with asyncio.timeout(20):
                while refused < 3:
                    await asyncio.sleep(0.05)
            open_files = len(os.listdir("/proc/self/fd"))
            with pytest.raises(RenderUnavailable, match="No space left"):
                await pool.render("<h1>x</h1>")
            assert len(os.listdir("/proc/self/fd")) <= open_files
        assert (await pool.render("<h1>x</h1>")).verdict.rendered


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make folders of other users")
def test_only_folders_of_ours_are_swept_of_browsers_users_for_root_too(folder: Path) -> None:
    browsers, strangers = of_a_dead_process(), of_a_dead_process()
    os.chown(browsers, profiles.UIDS[5], profiles.UIDS[5])
    os.chown(strangers, 12345, 12345)
    assert profiles.sweep() == [browsers]
    assert strangers.exists()
