"""Whether a text runs in circles.

Models that lose the thread repeat a passage until they are cut off, or for a while and then come back. `loop_share`
finds the passages that are repeated at least three times one after the other, wherever they stand: the distances at
which windows of `GRAM` bytes stand again are the periods worth trying, and each is tried on the whole text. It
needs no tokenizer and no end, so it works on the raw answer, and a loop that never closes its page is seen. Costs a
sort of a quarter of the text, as good as linear: about 2 ms for 47 KB. A text that repeats with one place changed at
random is not periodic and is not caught; one whose only change is a number (`item 1`, `item 2`, ...) is caught where
the answer ends in it, for a list with numbers that is closed and goes on may be what was asked for.
"""

from __future__ import annotations

import re
import threading
from collections import Counter

import numpy as np

WINDOW = 24_000  # characters of the end that are also looked at by themselves
LEAST = 200  # characters; a repeated passage shorter than this is ordinary markup (`</div></div></div>`)
GRAM = 24  # bytes of a window
SHORT = 31  # periods up to it are looked for by themselves: so few windows stand in one that none may be looked at
STRIDE = 96  # a run of `LEAST` bytes holds a window at every so many bytes and its like a short period further
TRIED = 8
KEPT = 1 << 17
ENDING = 1000  # characters of the end in which a page may close
COUNTED = 20  # a loop with a counter counts from so many rounds on
_DIGITS = re.compile(r"\d+")
_LAST = re.compile(r"</[a-z]+ ?>\Z|```\Z", re.IGNORECASE)
_CLOSED = re.compile(r"</(?:html|svg) ?>(?: ?```)?\Z", re.IGNORECASE)
# Odd numbers without a pattern: products with them, modulo 2**64, spread over the upper bits.
_FACTORS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], dtype=np.uint64)

_kept = threading.local()


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
    """For each character whether it belongs to a passage that is repeated `rounds` times or more.

    Looked for in the bytes of UTF-8, of which most texts have one a character; measured in characters.
    """
    data = text.encode("utf-8", "surrogatepass")
    codes = np.frombuffer(data, dtype=np.uint8)
    covered = np.zeros(len(codes), dtype=bool)
    if len(text) < LEAST:
        return covered[: len(text)]
    first = (codes & 0xC0) != 0x80  # byte of a character
    for period in _periods(data):
        least = max((rounds - 1) * period, LEAST - period)
        same = codes[period:] == codes[:-period]
        # So long a run meets at least four of a few places in a row, which are looked at first.
        if b"\x01" * 4 not in same[:: least // 4].tobytes() or b"\x01" * least not in same.tobytes():
            continue
        edges = np.flatnonzero(np.diff(same, prepend=False, append=False))
        for start, end in edges.reshape(-1, 2)[edges[1::2] - edges[::2] >= least]:
            if first[start : end + period].sum() >= LEAST:
                covered[start : end + period] = True
    return covered[first]


def _periods(data: bytes) -> list[int]:
    """Periods that the text may have: short ones, and the commonest distances between equal windows.

    A window is three words of eight bytes, and its number a sum of their products. Looked at are those whose number
    begins a certain way, about a fourth of them, so that the same windows are looked at wherever they stand.
    """
    n = len(data) - GRAM + 1
    words, numbers, products = _room(n + GRAM - 8)
    words[:] = np.ndarray(len(words), dtype="<u8", buffer=data, strides=(1,))
    numbers, products = np.multiply(words[:n], _FACTORS[0], out=numbers[:n]), products[:n]
    for at, factor in ((8, _FACTORS[1]), (16, _FACTORS[2])):
        numbers += np.multiply(words[at : at + n], factor, out=products)
    places = np.flatnonzero(numbers < 1 << 62)
    number = numbers[places] * _FACTORS[3]
    # Sorted as one number each, the window's above and its place below: chance equals are tried in vain, no more.
    low = np.uint64((1 << len(data).bit_length()) - 1)
    ordered = np.sort(number & ~low | places.astype(np.uint64))
    same = (ordered[1:] ^ ordered[:-1]) <= low
    distances, counts = np.unique(np.diff((ordered & low).astype(np.int64))[same], return_counts=True)
    commonest = distances[np.argsort(-counts, kind="stable")[:TRIED]]
    return [*_short(data), *(int(period) for period in commonest if period > SHORT)]


def _room(n: int) -> np.ndarray:
    """Three rows of n numbers, of a room that a thread keeps: the pages of a new one cost as much as the work in it."""
    if n > KEPT:
        return np.empty((3, n), dtype=np.uint64)
    if not hasattr(_kept, "room"):
        _kept.room = np.empty((3, KEPT), dtype=np.uint64)
    room: np.ndarray = _kept.room[:, :n]
    return room


def _short(data: bytes) -> list[int]:
    """The periods up to `SHORT` at which a window repeats that begins at one of every `STRIDE` bytes.

    The windows of a text that is too small for their distances to be counted may have these too.
    """
    rows = (len(data) - GRAM - SHORT) // STRIDE + 1
    equal = np.ones((rows, SHORT), dtype=bool)
    for offset in range(0, GRAM, 8):
        near = np.ndarray((rows, SHORT + 1), dtype="<u8", buffer=data, offset=offset, strides=(STRIDE, 1))
        equal &= near[:, 1:] == near[:, :1]
    return (np.flatnonzero(equal.any(axis=0)) + 1).tolist()
