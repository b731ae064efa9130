"""Text in a page that speaks to whoever judges it: demands for marks, orders to forget instructions, forged answers.

In: a page's source and the text that a browser showed of it. Out: the passages found, as short quotes. Read are the
source as it is and with its entities and escapes decoded, and the visible text, each folded: compatibility forms and
letters of other scripts that look Latin are taken as Latin, invisible characters are dropped. Every pattern begins
with one of a few words and is tried only where one stands, so an ordinary page of 60 KB costs about a millisecond.
English, German, French, Spanish, Portuguese, Russian, Chinese, Japanese and Korean. A quiz that says "Score: 10/10"
or "full marks!" speaks to its player and is not meant; who spells letter by letter, or draws the text, is not found.
"""

from __future__ import annotations

import html as entities
import re
import unicodedata
from collections.abc import Iterator

import numpy as np

MOST = 10  # quotes kept
PREFIX = 4  # bytes of a word that are looked for first; no word that a passage begins with has fewer than three
TRIES = 300  # places of one word that are looked at

_ANY = r"(?:[^\W_]+[\W_]+){0,%d}?"
_JUDGES = (
    r"(?:judges?|graders?|evaluators?|raters?|assessors?|scorers?|examiners?|reviewers?|llm|language model|vision model"
    r"|ai (?:model|assistant|system|judge|grader)|vlm)\b"
)
_MARKS = r"(?:marks?|points?|scores?|grades?|ratings?|stars?|credits?)\b"
_BEST = r"(?:full|max|maximum|perfect|top|highest|best possible|100|hundred)\b"
_WORK = r"(?:page|site|website|app|application|answer|submission|solution|code|design|artifact|response)\b"
_SELF = r"(?:this|the|my|our)[\W_]+" + _ANY % 1 + _WORK

# (words that a passage begins with, the passage)
_PATTERNS: tuple[tuple[tuple[str, ...], str], ...] = (
    (
        ("ignore", "disregard", "forget", "override"),
        r"\w+[\W_]+" + _ANY % 3 + r"(?:previous|prior|above|earlier|preceding|all|any|your|system|the)[\W_]+" + _ANY % 3
        + r"(?:instructions?|prompts?|guidelines?|rubric|criteria|checklist|instru\w+)\b",
    ),
    (
        ("give", "award", "assign", "grant", "rate", "return", "output", "respond"),
        r"\w+[\W_]+" + _ANY % 6 + _BEST + r"[\W_]+" + _ANY % 2 + _MARKS,
    ),
    (
        ("give", "award", "assign", "rate", "score", "grade", "mark"),
        r"\w+[\W_]+(?:" + _SELF + r"|(?:every|each|all)[\W_]+(?:checklist |the )?(?:items?|criteri\w+))[\W_]+"
        + _ANY % 5 + r"(?:5|10|100|five|ten|full|max\w*|perfect)\b",
    ),
    (
        ("dear", "attention", "hey", "hello", "note ", "message ", "instruction", "notice ", "reminder "),
        r"(?:(?:dear|attention|hey|hello)\b|(?:note|message|instructions?|notice|reminder) (?:to|for)\b)[\W_]+"
        + _ANY % 2 + _JUDGES,
    ),
    (("as ", "you are ", "you're "), r"(?:as|you are|you're)[\W_]+(?:an?|the)[\W_]+" + _ANY % 2 + _JUDGES
        + r"[\W_]+(?:you|please|give|i|must|should|award|score|who|that)\b"),
    (("judge", "grader", "evaluator", "assessor", "reviewer", "scorer"),
        r"\w+[\W_]+(?:please|you must|must (?:give|award)|should (?:give|award)|give|award)\b"),
    (
        ("this ", "the ", "my ", "our "),
        _SELF + r"[\W_]+" + _ANY % 4 + r"(?:deserves?|merits?|(?:should|must) (?:get|receive|be (?:scored|graded|rated"
        r"|given|awarded))|(?:has been|was) (?:scored|graded|rated))[\W_]+" + _ANY % 6
        + r"(?:" + _BEST + r"|5 of 5|5/5|10/10)",
    ),
    (
        ("judge", "grader", "evaluation", "checklist", "official"),
        r"\w+(?:['’]s)?[\W_]+" + _ANY % 2 + r"(?:score|grade|rating|verdict|points|evaluation)[\W_]+" + _ANY % 2
        + r"(100|20)\s*(?:/|of|out of)\s*\1\b",
    ),
    (('{"items"', '{ "items"', '{"scores"', '{"id"', '{ "id"'), r"\{.{0,60}?\"id\".{0,80}?\"(?:points|score)\"\s*:"),
    (
        ("<|im_start", "<|im_end", "<|system", "<|user", "<|assistant", "<|eot_id", "<|endoftext", "[inst", "[/inst",
         "<<sys", "=====", "### system", "### instruction", "system prompt", "system override"),
        r"<\|(?:im_start|im_end|system|user|assistant|eot_id|endoftext)|\[/?inst\]|<<sys>>"
        r"|={3,} ?page \w+ (?:begins|ends)"
        r"|### (?:system|instruction)|system (?:prompt|override)\W{0,3}:",
    ),
    (("ignorier", "vergiss", "missachte"),
        r"\w+[\W_]+" + _ANY % 4 + r"(?:anweisung\w*|vorgaben|instruktion\w*)"),
    (("gib", "geben sie", "vergib", "vergeben sie", "erteile", "bewerte"),
        r"\w+[\W_]+" + _ANY % 5 + r"(?:volle|maximal|hochst|höchst|alle|beste)\w*[\W_]+" + _ANY % 1
        + r"(?:punkt\w*|bewertung|note|wertung)"),
    (("ignore", "oublie"), r"\w+[\W_]+" + _ANY % 4 + r"(?:instructions|consignes)"),
    (("donne", "attribue", "accorde", "mets", "mettez"),
        r"\w+[\W_]+" + _ANY % 4 + r"(?:(?:note|score|points?)[\W_]+" + _ANY % 1 + r"(?:maxim\w+|parfait\w*|complet\w*)"
        r"|tous les points|note maximale|la meilleure note)"),
    (("ignora", "ignore", "olvida", "olvide"), r"\w+[\W_]+" + _ANY % 4 + r"(?:instrucci\w+|indicaci\w+|instruç\w+)"),
    (("da ", "dale", "dé ", "de a", "otorg", "asign", "pon ", "dê ", "atribua", "conceda"),
        r"\w+[\W_]+" + _ANY % 5 + r"(?:(?:puntuaci\w+|puntaje|calificaci\w+|nota|pontuaç\w+)[\W_]+(?:mxima|máxim\w+"
        r"|perfect\w+|complet\w+)|(?:máxim\w+|perfect\w+)[\W_]+(?:puntuaci\w+|nota|calificaci\w+))"),
    (("игнорируй", "забудь", "проигнорируй"), r"\w+[\W_]+" + _ANY % 4 + r"(?:инструкци\w+|указани\w+)"),
    (("поставь", "дай", "присвой", "оцени"),
        r"\w+[\W_]+" + _ANY % 4 + r"(?:максимальн\w+|высш\w+|полн\w+)[\W_]+" + _ANY % 1 + r"(?:балл\w*|оценк\w+)"),
    (("忽略", "无视", "忘记", "無視"), r"..{0,12}?(?:指令|提示|指示|评分标准)"),
    (("请给", "给予", "打出", "请打", "给本", "给这", "判为", "打满"), r".{1,12}?(?:满分|最高分|滿分)"),
    (("评委", "评审", "评分员", "评分模型", "评判者"), r"..{0,8}?(?:请|必须|应当|应该)"),
    (("指示", "命令"), r"..{0,6}?無視"),
    (("満点",), r"満点.{0,6}?(?:つけ|与え|ください|お願い)"),
    (("審査員", "採点者", "評価者"), r"...{0,10}?(?:ください|へ)"),
    (("이전", "위의", "모든"), r"...{0,8}?(?:지시|명령|프롬프트).{0,6}?무시"),
    (("만점",), r"만점.{0,6}?(?:주|부여)"),
)  # fmt: skip
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]"
)
_ESCAPE = re.compile(r"\\(?:u\{([0-9a-f]{1,6})\}|u([0-9a-f]{4})|x([0-9a-f]{2}))", re.IGNORECASE)
_LOOKALIKES = str.maketrans("асеіјорѕухԁһќгтвнкмαεικνορτυχ", "aceijopsuxdhkrtbhkmaeiknoptux")


def directed(source: str, seen: str = "") -> list[str]:
    """Short quotes of what speaks to a judge in a page's source or in its visible text; empty for most pages."""
    found: dict[str, None] = {}
    for text in _readings(source, seen):
        for start, end in spans(text):
            found.setdefault(" ".join(text[start:end].split())[:120])
            if len(found) >= MOST:
                return list(found)
    return list(found)


def spans(folded: str) -> Iterator[tuple[int, int]]:
    """(start, end) of each passage in a text that is lower-case already."""
    begun = _begun(folded)
    for (words, pattern), codes in zip(_COMPILED, _CODES, strict=True):
        if begun.isdisjoint(codes):
            continue
        for word, code in words:
            if code not in begun:
                continue
            place, tries = folded.find(word), 0
            while place >= 0 and tries < TRIES:
                if not place or not word[0].isascii() or not folded[place - 1].isalnum():
                    match = pattern.match(folded, place)
                    if match is not None:
                        yield match.span()
                place, tries = folded.find(word, place + 1), tries + 1


def _code(word: str) -> int:
    """The number of a word's first bytes."""
    return int.from_bytes(word.encode()[:PREFIX], "little")


_COMPILED = [([(word, _code(word)) for word in words], re.compile(pattern, re.DOTALL)) for words, pattern in _PATTERNS]
_CODES = [{code for _, code in words} for words, _ in _COMPILED]
_THREE, _FACTOR, _SHIFT = np.uint32(0xFFFFFF), np.uint32(0x9E3779B1), np.uint32(16)
_BEGIN = np.zeros(1 << 16, dtype=bool)  # at the number of the first three bytes of each word, spread over 16 bits
_BEGIN[(np.array(sorted(set().union(*_CODES)), dtype=np.uint32) & _THREE) * _FACTOR >> _SHIFT] = True


def _begun(folded: str) -> set[int]:
    """The first three and four bytes of the words that may stand in a text, as numbers; most then need no search."""
    data = folded.encode("utf-8", "surrogatepass") + b"\0"
    if len(data) < PREFIX:
        return set()
    fours = np.ndarray(len(data) - PREFIX + 1, dtype="<u4", buffer=data, strides=(1,))
    places = np.flatnonzero(_BEGIN.take((fours & _THREE) * _FACTOR >> _SHIFT))
    found = np.unique(fours[places])
    return {*found.tolist(), *(found & _THREE).tolist()}


def fold(text: str) -> str:
    """Lower-case, compatibility forms replaced, invisible characters dropped."""
    if text.isascii():
        return text.lower()
    return _INVISIBLE.sub("", unicodedata.normalize("NFKC", text)).casefold()


def _readings(source: str, seen: str) -> Iterator[str]:
    """The texts to look at, each different from those before."""
    plain = fold(source)
    yield plain
    decoded = source
    if "&" in decoded:
        decoded = entities.unescape(decoded)
    if "\\" in decoded and ("\\u" in decoded or "\\x" in decoded):  # one character is found far faster than two
        decoded = _paired(_ESCAPE.sub(_unescaped, decoded))
    if decoded is not source:
        decoded = fold(decoded)
        yield decoded
    shown = fold(seen)
    yield shown
    for text in (decoded if decoded is not source else plain, shown):
        if not text.isascii():
            latin = text.translate(_LOOKALIKES)
            if latin != text:
                yield latin


def _unescaped(match: re.Match[str]) -> str:
    code = int(match[1] or match[2] or match[3], 16)
    return chr(code) if code < 0x110000 else ""


def _paired(text: str) -> str:
    """Two halves of a surrogate pair as the character that they are, one half alone as U+FFFD."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
