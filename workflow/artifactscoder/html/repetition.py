"""Whether a text runs in circles.

Models that lose the thread repeat a passage until they are cut off. `tail_share` finds the longest suffix that is one
passage repeated at least three times, by the Z-function of the reversed text, in time linear in its length, and
without a tokenizer: it works on the raw answer, so a loop that never closes its page is seen too.
"""

from __future__ import annotations

import re

WINDOW = 24_000  # characters looked at, from the end
LEAST = 200  # a repeated suffix shorter than this is ordinary markup (`</div></div></div>`)
SPACE = re.compile(r"\s+")


def tail_share(text: str) -> float:
    """Share in 0..1 of the last `WINDOW` characters that is one passage repeated three times or more.

    Runs of white space count as one space; a closing `</body></html>` after the loop does not hide it.
    """
    folded = SPACE.sub(" ", re.sub(r"(\s*</[a-z]+\s*>|\s*```)+\s*\Z", "", text, flags=re.IGNORECASE)).strip()
    tail = folded[-WINDOW:]
    n = len(tail)
    if n < LEAST:
        return 0.0
    z = _z_function(tail[::-1])
    best = 0
    for period in range(1, n // 3 + 1):
        covered = period + z[period]
        if covered >= 3 * period and covered > best:
            best = covered
    return best / n if best >= LEAST else 0.0


def line_share(text: str) -> float:
    """Share in 0..1 of the non-trivial lines (20 characters or more) that stand three times or more."""
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if len(line) >= 20]
    if len(lines) < 12:
        return 0.0
    counts: dict[str, int] = {}
    for line in lines:
        counts[line] = counts.get(line, 0) + 1
    return sum(count for count in counts.values() if count >= 3) / len(lines)


def repeats(text: str, limit: float = 0.6) -> bool:
    """True when a loop at the end, or lines repeated all over, make up more than `limit` of the text."""
    return tail_share(text) > limit or line_share(text) > max(limit, 0.8)


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


def _z_function(text: str) -> list[int]:
    """z[i]: length of the longest common prefix of text and text[i:]."""
    n = len(text)
    z = [0] * n
    left = right = 0
    for i in range(1, n):
        if i < right:
            z[i] = min(right - i, z[i - left])
        while i + z[i] < n and text[z[i]] == text[i + z[i]]:
            z[i] += 1
        if i + z[i] > right:
            left, right = i, i + z[i]
    return z
