"""A server that misbehaves in every way, and kills: every record is accounted for, and nothing is paid for twice."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import faulty
from artifactscoder import tables
from artifactscoder.ledger import beside
from checkout import answers, asked_again

PROGRAM = str(Path(faulty.__file__))


@contextmanager
def served(folder: Path, delay: float) -> Iterator[tuple[str, Path]]:
    """The base URL, and the log of what was answered whole."""
    folder.mkdir(parents=True)
    words = [sys.executable, PROGRAM, "serve", "--delay", str(delay), "--log", str(folder / "answered")]
    (folder / "answered").touch()
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), folder / "answered"
    finally:
        process.kill()
        process.wait()


def step(url: str, count: int, folder: Path, in_flight: int) -> subprocess.Popen:
    words = ["ask", "--url", url, "--count", str(count), "--folder", str(folder), "--in-flight", str(in_flight)]
    return subprocess.Popen(
        [sys.executable, PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def check_accounts(folder: Path, count: int) -> None:
    """Every id is in the ledger with the very status and reason that its fate has, every good answer in the table."""
    wrong: Counter[tuple] = Counter()
    rows = list(tables.rows(beside(folder / "table.parquet")))
    for number, row in enumerate(rows):
        if (row["status"], row["reason"]) != faulty.expected(number):
            wrong[faulty.fate(number), faulty.expected(number), row["status"], row["reason"]] += 1
    assert len(rows) == count and not wrong
    good = [number for number in range(count) if faulty.expected(number)[0] == "ok"]
    found = [(row["id"], row["text"]) for row in tables.rows(folder / "table.parquet")]
    assert found == [(f"n/{number:06d}", faulty.text_of(number)) for number in good]


@pytest.mark.parametrize("count", [2_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_a_server_that_misbehaves_in_every_way_loses_no_record(count: int, tmp_path: Path) -> None:
    with served(tmp_path / "server", delay=0.5) as (url, _):
        process = step(url, count, tmp_path, in_flight=1000)
        out, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors[-2000:]
    took = json.loads(out)
    check_accounts(tmp_path, count)
    assert took["peak_mb"] < 500, took
    if count == 20_000:
        assert took["in_flight"] > 900, took


@pytest.mark.parametrize(("count", "kills"), [(1_000, 2), pytest.param(20_000, 30, marks=pytest.mark.slow)])
@pytest.mark.timeout(2400)
def test_kills_change_no_byte_of_the_table_and_ask_nothing_twice(count: int, kills: int, tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with served(whole, delay=0.05) as (url, _):
        process = step(url, count, whole, in_flight=200)
        assert process.wait(timeout=300) == 0
    rng = random.Random(0)
    with served(cut, delay=0.05) as (url, log):
        moments: list[tuple[float, float]] = []
        done = 0
        for kill in range(1, kills + 1):
            process = step(url, count, cut, in_flight=200)
            # A kill comes somewhere in its share of all answers, whatever the machine's speed.
            until = count * 0.9 * (kill - rng.uniform(0.1, 0.9)) / kills
            while process.poll() is None and done < until:
                time.sleep(0.01)
                done = log.read_bytes().count(b"\n")
            assert process.poll() is None, f"ended before kill {kill}"
            before = time.time()
            process.kill()
            process.wait()
            moments.append((before, time.time()))
        process = step(url, count, cut, in_flight=200)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
        again = asked_again(log, moments)
    assert (cut / "table.parquet").read_bytes() == (whole / "table.parquet").read_bytes()
    check_accounts(cut, count)
    assert len(again) <= 200 * kills and len(answers(log)) >= 0.9 * count
