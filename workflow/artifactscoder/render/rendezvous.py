"""Where render replicas and a trainer meet: a folder that both see, however far apart their clocks are.

In it each replica keeps a small file with its address, token and room, renewed while it is ready; the trainer renews
`trainer.json`, which names it; a file `end` tells the replicas to stop, and so does the name of another trainer.
Whether somebody is still there is judged by the time that the file system itself put on the file, against the time it
puts on a file made now, and from then on by the reader's own steady clock: the clocks of two machines are never
compared, and no time is read out of a file. A renewal costs one small file every 5 s, a look one directory listing a
second.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEARTBEAT_SECONDS = 5.0
REPLICA_SILENT_SECONDS = 60.0
"""A replica whose file has not been renewed for so long is not asked."""
OWNER_SILENT_SECONDS = 120.0
"""Replicas stop when the trainer's file has not been renewed for so long."""
TRAINER = "trainer.json"
END = "end"


def _mark(state: os.stat_result) -> tuple[int, int]:
    """What is another after each renewal of a file."""
    return state.st_ino, state.st_mtime_ns


class Ages:
    """How long ago files of one folder were last renewed, for a reader that looks again and again."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[Path, tuple[tuple[int, int], float]] = {}

    def age(self, path: Path, state: os.stat_result) -> float:
        """Seconds since the file of this state was renewed; 0 where the folder's own time cannot be told."""
        mark = _mark(state)
        known = self._seen.get(path)
        if known is None or known[0] != mark:
            known = (mark, time.monotonic() - max(0.0, self._now(state.st_mtime) - state.st_mtime))
            self._seen[path] = known
        return time.monotonic() - known[1]

    def _now(self, otherwise: float) -> float:
        """The file system's time, which is a server's on a shared one."""
        try:
            with tempfile.TemporaryFile(dir=self._directory) as probe:
                probe.write(b".")
                probe.flush()
                return os.fstat(probe.fileno()).st_mtime
        except OSError:  # a folder that may only be read: then only silence from now on counts
            return otherwise


class Notice:
    """One replica's file."""

    def __init__(self, directory: Path, url: str, token: str, capacity: int) -> None:
        self._facts: dict[str, Any] = {"url": url, "token": token, "capacity": capacity}
        name = f"replica-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.json"
        self._path = directory / name

    def write(self) -> None:
        """Renew it; readers see the old file or the new one, and only this user sees either."""
        _replace(self._path, self._facts)

    def remove(self) -> None:
        """Take it away."""
        self._path.unlink(missing_ok=True)


def replicas(directory: Path, ages: Ages) -> dict[str, dict[str, Any]]:
    """What the replicas say that were alive of late, by address."""
    found: dict[str, tuple[float, dict[str, Any]]] = {}
    for path in directory.glob("replica-*.json"):
        try:
            with open(path, "rb") as file:  # opened, so that a shared file system shows its present state
                age = ages.age(path, os.fstat(file.fileno()))
                notice = json.load(file)
        except (OSError, ValueError):
            continue
        url = notice["url"]
        if age <= REPLICA_SILENT_SECONDS and (url not in found or age < found[url][0]):
            found[url] = (age, notice)
    return {url: notice for url, (_, notice) in found.items()}


class Owner:
    """The trainer, as a replica sees it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._ages = Ages(directory)
        self._heard: float | None = None
        """By the steady clock; the trainer's start is waited for, however long, while the folder is there."""
        self._folder = self._leftover = time.monotonic()
        self._name: bytes | None = None
        """What the first trainer says of itself that wrote since we look."""
        self._before: tuple[int, int] | None = None
        with contextlib.suppress(OSError):
            self._before = _mark((directory / TRAINER).stat())

    def ended(self) -> bool:
        """Whether it declared the end, another has taken its place, or it has been silent for 120 s, or the folder has
        been gone for so long.

        One yet to come is waited for. What an earlier trainer left behind is given the same time to be renewed.
        """
        now = time.monotonic()
        if (self._directory / END).exists():
            return True
        try:
            with open(self._directory / TRAINER, "rb") as file:
                state, name = os.fstat(file.fileno()), file.read()
            age = self._ages.age(self._directory / TRAINER, state)
            if _mark(state) != self._before:
                self._name = name if self._name is None else self._name
                if name != self._name:
                    return True
        except OSError:
            if self._directory.is_dir():
                self._folder = now
            since = self._folder if self._heard is None else self._heard
        else:
            self._folder = now
            if age <= OWNER_SILENT_SECONDS:
                self._heard = now - age
            since = self._leftover if self._heard is None else now - age
        return now - since > OWNER_SILENT_SECONDS


@contextlib.contextmanager
def trainer_heartbeat(directory: Path) -> Iterator[None]:
    """Tell the replicas that their trainer lives, as long as the block lasts and this process runs.

    Those of an earlier trainer are told before the block begins that it has ended.
    """
    directory.mkdir(parents=True, exist_ok=True)
    facts = {"host": socket.gethostname(), "pid": os.getpid(), "start": secrets.token_hex(8)}
    ended = threading.Event()

    def write() -> None:
        with contextlib.suppress(OSError):  # a shared file system may be away for a moment
            _replace(directory / TRAINER, facts)

    def renew() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            write()

    write()
    thread = threading.Thread(target=renew, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _replace(path: Path, facts: dict[str, Any]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(facts, file)
    fresh.replace(path)
