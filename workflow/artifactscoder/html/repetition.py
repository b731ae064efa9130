"""Whether a text runs in circles.

Models that lose the thread repeat a passage until they are cut off, or for a while and then come back. `loop_share`
finds the passages that are repeated at least three times one after the other, wherever they stand: the distances at
which windows of `GRAM` characters stand again are the periods worth trying, and each is tried on the whole text. It
needs no tokenizer and no end, so it works on the raw answer, and a loop that never closes its page is seen. Costs a
sort of a quarter of the text, as good as linear: about 2 ms for 47 KB. A text that repeats with one place changed at
random is not periodic and is not caught; one whose only change is a number (`item 1`, `item 2`, ...) is caught where
the answer ends in it, for a list with numbers that is closed and goes on may be what was asked for.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

import numpy as np

WINDOW = 24_000  # characters of the end that are also looked at by themselves
LEAST = 200  # a repeated passage shorter than this is ordinary markup (`</div></div></div>`)
GRAM = 24
TRIED = 8
KNOWN = 1 << 17
ENDING = 1000  # characters of the end in which a page may close
COUNTED = 20  # a loop with a counter counts from so many rounds on
_DIGITS = re.compile(r"\d+")
_LAST = re.compile(r"</[a-z]+ ?>\Z|```\Z", re.IGNORECASE)
_CLOSED = re.compile(r"</(?:html|svg) ?>(?: ?```)?\Z", re.IGNORECASE)
_BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so it has an inverse modulo 2**64
_INVERSE = np.uint64(pow(int(_BASE), -1, 1 << 64))


def loop_share(text: str) -> float:
    """Share in 0..1 of `text`, or of its end if that is more, that is passages repeated three times or more.

    Runs of white space count as one space; a closing `</body></html>` after a loop does not hide it.
    """
    folded = _folded(text)
    covered = _covered(folded, 3)
    return max(float(covered.mean()), _at_end(covered[: _without_ending(folded)])) if len(covered) else 0.0


def counted_share(text: str) -> float:
    """Share of the end that is a loop that counts (numbers are taken as equal), of 20 rounds or more, unfinished."""
    if _CLOSED.search(_folded(text[-ENDING:])[-20:]):
        return 0.0
    tail = _folded(text[-2 * WINDOW :])[-WINDOW:]
    return _at_end(_covered(_DIGITS.sub("0", tail), COUNTED))


def line_share(text: str) -> float:
    """Share in 0..1 of the non-trivial lines (20 characters or more) that stand three times or more."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if len(line) >= 20]
    if len(lines) < 12:
        return 0.0
    return sum(count for count in Counter(lines).values() if count >= 3) / len(lines)


def repeats(text: str, limit: float = 0.6) -> bool:
    """True when loops make up more than `limit` of the text or of its end, or lines repeated all over do."""
    return loop_share(text) > limit or line_share(text) > max(limit, 0.8) or counted_share(text) > limit


def loops(text: str, span: int) -> bool:
    """Whether the last `span` characters are one passage repeated five times or more, character by character.

    For a text that still grows: a few slices compared, about 10 microseconds. White space without end counts.
    """
    tail = text[-span:]
    if len(tail) < span:
        return False
    probe, end = tail[-span // 50 :], span
    for _ in range(8):  # the probe may recur within the passage too
        end = tail.rfind(probe, 0, end - 1)
        if end < 0:
            return False
        period = span - len(probe) - end
        if 5 * period > span:
            return False
        if tail[period:] == tail[:-period]:
            return True
        end += len(probe)
    return False


def _folded(text: str) -> str:
    return " ".join(text.split())


def _without_ending(text: str) -> int:
    """Where the closing tags and the fence at the end of a text begin in which white space is folded."""
    end = len(text)
    while True:
        while end and text[end - 1] == " ":
            end -= 1
        match = _LAST.search(text, max(0, end - 40), end)
        if match is None:
            return end
        end = match.start()


def _at_end(covered: np.ndarray) -> float:
    """Share of the last `WINDOW` characters that is a loop at the very end; its last round may be cut off."""
    tail = covered[-WINDOW:]
    gaps = np.flatnonzero(~tail)
    return (len(tail) - (int(gaps[-1]) + 1 if len(gaps) else 0)) / len(tail) if len(tail) else 0.0


def _covered(text: str, rounds: int) -> np.ndarray:
    """For each character whether it belongs to a passage that is repeated `rounds` times or more."""
    if text.isascii():  # as most are: a quarter of the bytes to compare
        codes = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    else:
        codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    covered = np.zeros(len(codes), dtype=bool)
    if len(codes) < LEAST:
        return covered
    for period in _periods(codes):
        least = max((rounds - 1) * period, LEAST - period)
        same = codes[period:] == codes[:-period]
        # So long a run meets at least four of a few places in a row, which are looked at first.
        if b"\x01" * 4 not in same[:: least // 4].tobytes() or b"\x01" * least not in same.tobytes():
            continue
        edges = np.flatnonzero(np.diff(same, prepend=False, append=False))
        for start, end in edges.reshape(-1, 2)[edges[1::2] - edges[::2] >= least]:
            covered[start : end + period] = True
    return covered


def _periods(codes: np.ndarray) -> list[int]:
    """Periods that the text may have: all short ones, and the commonest distances between equal windows.

    A window's number is a polynomial of its characters modulo 2**64; every fourth number is looked at, so that the
    same windows are wherever they stand.
    """
    n = len(codes)
    powers, back = _powers(_BASE, n), _powers(_INVERSE, n)
    sums = np.zeros(n + 1, dtype=np.uint64)
    np.add.accumulate(np.multiply(codes, powers, out=sums[1:]), out=sums[1:])
    number = sums[GRAM:] - sums[:-GRAM]
    number *= back[: n - GRAM + 1]
    places = np.flatnonzero(number >> np.uint64(62) == 0)
    # Sorted as one number each, the window's above and its place below: chance equals are tried in vain, no more.
    low = np.uint64((1 << n.bit_length()) - 1)
    ordered = np.sort(number[places] & ~low | places.astype(np.uint64))
    same = (ordered[1:] ^ ordered[:-1]) <= low
    places = (ordered & low).astype(np.int64)
    counts = np.bincount(np.diff(places)[same])
    distances = np.flatnonzero(counts)
    commonest = distances[np.argsort(-counts[distances], kind="stable")[:TRIED]]
    return [*range(1, GRAM + 8), *(int(period) for period in commonest if period >= GRAM + 8)]


def _powers(base: np.uint64, n: int) -> np.ndarray:
    """The first n powers of `base`, of which those that most texts need are made once."""
    return _known(base)[:n] if n <= KNOWN else np.multiply.accumulate(np.full(n, base, dtype=np.uint64))


@lru_cache(maxsize=2)
def _known(base: np.uint64) -> np.ndarray:
    return np.multiply.accumulate(np.full(KNOWN, base, dtype=np.uint64))
