"""The folders of browsers, and those that nobody deleted.

In: nothing but the system's temporary folder. Out: a new folder whose name says who made it (machine and space of
process numbers, number of the process, moment of its start), and `sweep`, which deletes those whose maker has ended. A
browser's folder goes with the browser, whatever happens to its owner; what may remain is a folder made in the moment
before, or one whose launching shell was killed too. Never touched are folders of other users, and those made where
process numbers mean something else: on another machine or in another container that shares the folder, or before the
last start of this machine. A sweep takes 1 ms for a temporary folder of a thousand entries.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

from artifactscoder.render.containment import UIDS

PREFIX = "artifactscoder-render-"
NAME = re.compile(re.escape(PREFIX) + r"([0-9a-f]{8})-([0-9]+)-([0-9]+)-[^/]+")


def make() -> Path:
    """A new folder of ours."""
    number = os.getpid()
    return Path(tempfile.mkdtemp(prefix=f"{PREFIX}{_space()}-{number}-{_started(number)}-"))


def sweep() -> list[Path]:
    """Delete the folders whose makers have ended; returns which."""
    swept = []
    with contextlib.suppress(OSError), os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            named = NAME.fullmatch(entry.name)
            if named is None or named[1] != _space() or _started(int(named[2])) == int(named[3]):
                continue
            with contextlib.suppress(OSError):
                found = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(found.st_mode) and _ours(found.st_uid):
                    shutil.rmtree(entry.path, ignore_errors=True)
                    swept.append(Path(entry.path))
    return swept


def _ours(user: int) -> bool:
    """Whether this user's folders are ours to delete: our own and, for root, those of the browsers' users."""
    return user == os.geteuid() or (os.geteuid() == 0 and user in UIDS)


@functools.lru_cache
def _space() -> str:
    """Where process numbers mean what they mean here: this start of this machine, this space of numbers."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text()
        numbers = os.stat("/proc/self/ns/pid").st_ino
    except OSError:  # a system that does not say: then a place that no other process is in
        return secrets.token_hex(4)
    return hashlib.sha256(f"{started}{numbers}".encode()).hexdigest()[:8]


def _started(number: int) -> int:
    """When the process of this number began, in ticks since the machine's start; 0 if there is none."""
    try:
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError):
        return 0
