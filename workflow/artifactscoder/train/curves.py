"""The steps of a training as verl tells them: lines of its log, metrics in a file, and the curve that is kept."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import statistics
import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from artifactscoder import tables
from artifactscoder.progress import duration
from artifactscoder.train.runs import say

STEP_LINE = re.compile(r"(?:\([^)]*\) )?step:(\d+) - ")
BAR = re.compile(r"^.*?\d+%\|.*?\[[^\]]*\]")  # a progress bar, perhaps with a line of the log glued to it


def whole_lines(path: Path) -> list[bytes]:
    """The lines of a file that grows by appending; one that a kill cut off is left out."""
    return path.read_bytes().split(b"\n")[:-1]


class GrowingLines:
    """The lines of a file that grows by appending, each read once, when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path, self._at = path, 0

    def new(self) -> list[bytes]:
        """Lines that have been completed since the last call."""
        if not self.path.exists():
            return []
        with open(self.path, "rb") as file:
            file.seek(self._at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.split(b"\n")[:-1]


class MetricsFile:
    """verl's JSON lines (`trainer.logger=[file]`), read while they are being written."""

    def __init__(self, path: Path) -> None:
        self.path, self._lines = path, GrowingLines(path)

    def new(self) -> Iterator[tuple[int, dict[str, float]]]:
        """Steps and metrics of the lines that have been completed since the last call."""
        for line in self._lines.new():
            row = json.loads(line)
            yield int(row["step"]), row["data"]


def figures(columns: dict[str, str], metrics: Mapping[str, float]) -> dict[str, float]:
    """Of verl's metrics of a step those of a curve, under its names; the mean where a pattern finds several."""
    out = {}
    for name, key in columns.items():
        found = [metrics[k] for k in (fnmatch.filter(metrics, key) if "*" in key else [key]) if k in metrics]
        if found:
            out[name] = statistics.fmean(found)
    return out


class Curve:
    """Rows of steps: appended to `steps.jsonl` in the work folder, at the end a Parquet file."""

    def __init__(self, folder: Path, columns: dict[str, str]) -> None:
        """`columns`: name in the curve -> name in verl's metrics, a pattern where it has a `*`."""
        self.path, self.columns = folder / "steps.jsonl", columns
        self.rows: dict[int, dict[str, Any]] = {}
        if self.path.exists():
            whole = whole_lines(self.path)
            os.truncate(self.path, sum(len(line) + 1 for line in whole))
            for line in whole:
                self._merge(json.loads(line))

    def _merge(self, row: dict[str, Any]) -> None:
        step = row["step"]
        if "seconds" in row:  # a training step: what an earlier attempt knew beyond it was lost with it
            self.rows = {s: r for s, r in self.rows.items() if s < step}
        self.rows.setdefault(step, {}).update(row)

    def add(self, step: int, metrics: dict[str, float], seconds: float | None) -> dict[str, Any]:
        """Take verl's metrics of a step; `seconds` is None for a validation that belongs to a step already run."""
        row: dict[str, Any] = {"step": step, **figures(self.columns, metrics)}
        if seconds is not None:
            row["seconds"] = seconds
        with open(self.path, "ab", buffering=0) as file:  # one write a line: a kill leaves whole lines
            file.write(json.dumps(row).encode() + b"\n")
        self._merge(row)
        return row

    def write(self, path: Path) -> None:
        fields = [("step", pa.int64()), *((name, pa.float64()) for name in (*self.columns, "seconds"))]
        tables.write(path, pa.schema(fields), (self.rows[step] for step in sorted(self.rows)))


class Steps:
    """Takes verl's steps as they end: into the curve, and a line of progress each.

    How long a step took is a metric of its own (GRPO), or the time between the lines on the console (SFT).
    """

    def __init__(
        self,
        step: str,
        total: int,
        shown: dict[str, str],
        metrics: MetricsFile,
        curve: Curve,
        seconds_key: str = "",
    ) -> None:
        """`shown`: column of the curve -> format, for the progress line."""
        self.step, self.total, self.shown, self.metrics, self.curve = step, total, shown, metrics, curve
        self._seconds_key, self._last = seconds_key, time.monotonic()
        self._ended: dict[int, float] = {}
        self._measured: dict[int, dict[str, float]] = {}
        self._times = deque[float](maxlen=20)

    def takes(self, line: str) -> bool:
        """Whether `line` is a step's line on the console (`step:3 - ...`, perhaps behind Ray's prefix)."""
        found = STEP_LINE.match(line)
        if found:
            now = time.monotonic()
            self._ended[int(found[1])], self._last = now - self._last, now
        return found is not None

    def report(self) -> int:
        """Write what is complete into the curve and say it; the last step of it, 0 where there was none."""
        self._measured.update(self.metrics.new())
        complete = sorted(self._measured if self._seconds_key else self._measured.keys() & self._ended.keys())
        for step in complete:
            measured = self._measured.pop(step)
            trained = not all(key.startswith("val-") for key in measured)
            seconds = self._ended.pop(step, 0.0)
            seconds = measured.get(self._seconds_key, seconds)
            row = self.curve.add(step, measured, seconds if trained else None)
            shown = [f"{name} {format(row[name], form)}" for name, form in self.shown.items() if name in row]
            if trained:
                self._times.append(seconds)
                shown.append(f"{duration(statistics.median(self._times) * (self.total - step))} left")
            say(self.step, f"step {step} of {self.total}, " + ", ".join(shown))
        return max(complete, default=0)


def plain(line: str) -> str:
    """A line of a trainer's log without the progress bar in front of it."""
    return BAR.sub("", line)


class Tail:
    """The end of a log, to say in one sentence why a trainer failed."""

    def __init__(self) -> None:
        self._lines = deque[str](maxlen=400)

    def add(self, line: str) -> None:
        self._lines.append(line)

    def reason(self) -> str:
        """The last line that names an error, shortened; empty if none does."""
        for line in reversed(self._lines):
            head = re.sub(r"^\(.*?\) |^\[rank\d+\]: ", "", line).strip()
            name = head.partition(":")[0].rpartition(".")[2]
            if name.endswith(("Error", "Exception", "Timeout")) and name != "ChildFailedError":  # torchrun's: no cause
                return head[:300]
        return ""
