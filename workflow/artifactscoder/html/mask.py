"""Secrets and personal data out of a text: each is replaced by a harmless one of its kind.

In: a page or a prompt. Out: the same text with placeholders (`user@example.com`, `555-0100`, `203.0.113.1`), and how
many distinct values each rule replaced. A page must still work afterwards: a placeholder passes the check that the
value passed (Luhn, mod 97, a token that decodes), equal values get equal placeholders and different ones different
ones, so keys of a table do not collide; the prompt, the page and the answer of a record are masked with one `Mask`.

Two sorts of rules. What has a form of its own (keys, tokens, e-mail addresses, IBANs) is looked for everywhere but in
data URLs. What is digits (telephone numbers, addresses of machines, cards) is looked for in visible text, in a few
attributes, and, where its form is strict, as the whole of a quoted string of a script: a path of an SVG, a colour, a
version, a time stamp or an identifier is never touched. So a telephone number inside a script's string stays.

Not here: a library. detect-secrets finds and does not replace, and its entropy rules fire on minified code; presidio
brings a language model. About 13 ms for 100 KB.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

Match = re.Match[str]

_DATA_URL = re.compile(r"(data:[\w.+/-]*(?:;[\w=.-]+)*;base64,[A-Za-z0-9+/=%]+)")
_ZONES = re.compile(
    r"<!--.*?(?:-->|\Z)|<(script|style|svg|math)\b[^<>]*>.*?(?:</\1\s*>|\Z)|<[a-z/!][^<>]*>",
    re.DOTALL | re.IGNORECASE,
)

# A pattern that begins with `\b` looks at every character (20 MB/s); that a literal occurs at all is seen at 1 GB/s. So
# each rule asks for its literals first, and most pages hold none.

# Secrets: what each looks like, and what stands for it. Each pattern names the value itself as group `v`.
_KEY_BODY = r"(?:[A-Za-z0-9+/=\s\"'`]|\\[nr]|[:,.-](?!-)|\+){64,12000}?"
_PRIVATE_KEY = re.compile(
    rf"-----BEGIN (?P<kind>(?:[A-Z0-9]+ ){{0,2}}PRIVATE KEY(?: BLOCK)?)-----(?P<v>{_KEY_BODY})-----END (?P=kind)-----"
)
_SECRETS: dict[str, tuple[tuple[str, ...], re.Pattern[str], str]] = {  # rule -> (one of which occurs, pattern, new)
    "aws_key": (
        ("AKIA", "ASIA"),
        re.compile(r"\b(?P<v>(?:AKIA|ASIA)(?=[A-Z2-7]*[2-7])[A-Z2-7]{16})\b"),
        "AKIAIOSFODNN7EXAMPLE",
    ),
    "aws_secret": (
        ("secret", "Secret", "SECRET"),
        re.compile(
            r"(?i:aws.{0,20}secret.{0,20}|secret_?access_?key.{0,8})[\"'=:\s](?P<v>[A-Za-z0-9/+]{40})(?![\w/+=])"
        ),
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ),
    "github_token": (
        ("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
        re.compile(r"\b(?P<v>gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,255})\b"),
        "ghp_" + "EXAMPLE" + "0" * 29,
    ),
    "openai_key": (
        ("sk-",),
        re.compile(
            r"\b(?P<v>sk-(?:proj|svcacct|admin|ant|or)-(?=[\w-]*\d)(?=[\w-]*[A-Z])[\w-]{32,250}"
            r"|sk-(?=\w*\d)(?=\w*[A-Z])[A-Za-z0-9]{40,64})(?![\w-])"
        ),
        "sk-EXAMPLE",
    ),
    "slack_token": (
        ("xox",),
        re.compile(r"\b(?P<v>xox[abeoprs]-(?=[\w-]*\d)[A-Za-z0-9-]{20,250})\b"),
        "xoxb-EXAMPLE",
    ),
    "slack_hook": (
        ("hooks.slack.com",),
        re.compile(r"hooks\.slack\.com/services/(?P<v>T[A-Z0-9]{6,}/B[A-Z0-9]{6,}/[A-Za-z0-9]{20,})"),
        "T00000000/B00000000/EXAMPLE",
    ),
    "google_key": (
        ("AIza", "GOCSPX-", "ya29."),
        re.compile(r"\b(?P<v>AIza[\w-]{35}|GOCSPX-[\w-]{28}|ya29\.[\w-]{40,})(?![\w-])"),
        "AIza" + "EXAMPLE" + "0" * 27,
    ),
    "stripe_key": (("_live_",), re.compile(r"\b(?P<v>[sr]k_live_[0-9a-zA-Z]{20,250})\b"), "sk_test_EXAMPLE"),
}
_JWT = re.compile(r"\b(?P<v>(eyJ[\w-]{8,})\.eyJ[\w-]{8,}\.[\w-]{10,})(?![\w-])")
_JWT_EXAMPLE = (
    "eyJhbGciOiJub25lIn0.eyJzdWIiOiJleGFtcGxlIn0.ZXhhbXBsZS1zaWduYXR1cmU"  # {"alg":"none"}, {"sub":"example"}
)
_PART = r"[^\s:/@\"'`<>{}()$\\*]"
_URL_PASSWORD = re.compile(
    rf"\b(?P<before>[a-z][a-z0-9+.-]{{1,15}}://)(?P<v>{_PART}{{1,64}}:{_PART}{{1,100}})(?=@[\w.\[-])"
)
_URL_LOGIN = re.compile(r"://[^\s/\"'`<>]{3,170}@")
_SAMPLE_PASSWORDS = frozenset("pass password passwd pwd secret changeme example xxx xxxx token key p pw".split())

# Personal data.
_DOMAIN = re.compile(r"@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2}")
_EMAIL = re.compile(  # what stands before the host of a URL is a login
    r"://[^\s/\"'`<>]{1,170}@|(?<![\w.%+-])(?P<v>[A-Za-z0-9][\w.%+-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]{2,24})(?![\w@-])"
)
_SAMPLE_DOMAINS = frozenset(
    "example domain yourdomain company yourcompany email mail mysite site yoursite test sample acme".split()
)
_SAMPLE_ENDS = frozenset("example test invalid localhost local".split())
# What follows the last dot in `icon@2x.png` or `vue@next.js`: a file, no country.
_FILE_ENDS = frozenset(
    "png jpg jpeg gif svg webp avif ico css scss less js mjs cjs ts tsx jsx json map html htm xml md txt woff ttf otf"
    " min mp3 mp4 webm pdf zip gz wasm vue lock".split()
)
_SAMPLE_USERS = frozenset(
    "git you your yourname your.name name yourmail youremail email user username someone somebody test foo bar".split()
)
_IBAN = re.compile(r"[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}")
_IBAN_LENGTHS = {
    "AE": 23, "AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24,
    "FI": 18, "FR": 27, "GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IS": 26, "IT": 27, "LI": 21,
    "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15, "PL": 28, "PT": 25, "RO": 24, "SA": 24,
    "SE": 24, "SI": 19, "SK": 24, "SM": 27, "TR": 26,
}  # fmt: skip
_IBAN_EXAMPLES = frozenset(["DE89370400440532013000", "GB29NWBK60161331926819", "FR1420041010050500013M02606"])

_DIGITS = re.compile(r"\d(?:[^\d]{0,4}\d){4}")  # what any of the rules below needs
_PHONES = re.compile(
    r"(?<![\w.+/$#-])(?:"
    r"(?P<plus>\+\d{1,3}[ .\u00a0-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,5}(?:[ .\u00a0-]\d{2,8}){1,4}|\+\d{9,15})"
    r"|(?P<us>(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[- ])[2-9]\d{2}-\d{4})"
    r"|(?P<cn>1[3-9]\d[ -]\d{4}[ -]\d{4})"
    r")(?![\w%-]|\.\d| ?[€$£¥%])"
)
_LABELLED = re.compile(
    r"(?i:\b(?:tel|phone|telephone|mobile|cell|fax|call|whatsapp|hotline|telefon|t[eé]l[eé]phone)\b|手机|电话|联系方式)"
    r"(?P<between>[^\d<>\n(+]{0,12})(?P<v>\+?\(?\d[\d ().\u00a0-]{7,18}\d)(?![\w%])"
)
_TEL = re.compile(r"(?P<before>\b(?:tel:|sms:|wa\.me/|callto:))(?P<v>\+?\d[\d().\- ]{5,20}\d)", re.IGNORECASE)
_ATTRIBUTE = re.compile(
    r"(?P<before>\b(?:placeholder|title|alt|aria-label|content|value)\s*=\s*)(?P<v>\"[^\"<>]*\"|'[^'<>]*')",
    re.IGNORECASE,
)
_IPV4 = re.compile(r"(?<![\w.:/-])(?P<v>(?:\d{1,3}\.){3}\d{1,3})(?![\w-]|\.\d)")
_URL_IPV4 = re.compile(r"//(?:[^\s/@\"'`<>]{1,100}@)?(?P<v>(?:\d{1,3}\.){3}\d{1,3})(?![\w.-])")
_VERSION = re.compile(r"(?:\bv|version|release|build|firmware|update|[a-z]/)\W{0,3}$", re.IGNORECASE)
_CARD = re.compile(
    r"(?<![\w.+-])(?P<v>\d{4}([ -])\d{4}\2\d{4}\2\d{4}|3[47]\d{2}([ -])\d{6}\3\d{5}|[3-6]\d{14,15})(?![\w-]|\.\d)"
)
_QUOTED_IPV4 = re.compile(r"[\"'`](?P<v>(?:\d{1,3}\.){3}\d{1,3})(?=(?::\d{2,5})?[\"'`])")
_QUOTED_CARD = re.compile(r"[\"'`](?P<v>\d{4}([ -])\d{4}\2\d{4}\2\d{4})(?=[\"'`])")
_CARD_BRANDS = re.compile(r"4|5[1-5]|2[2-7]|3[47]|35|6011|65")
_CARD_EXAMPLES = re.compile(
    r"4242424242424242|41{15}|4012888888881881|4000\d{12}|5{12}4444|5105105105105100|5200828282828210|2223\d{12}"
    r"|378282246310005|371449635398431|6011\d{12}|3566002020360505|1234567890123456|4444333322221111|(\d)\1+"
    r"|4532015112830366|4539578763621486"
)


class Mask:
    """Masks the texts of one record; `counts`: distinct values that each rule replaced, by rule."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._given: dict[tuple[str, str], str] = {}

    def text(self, text: str) -> str:
        """The text with placeholders."""
        parts = _DATA_URL.split(text) if ";base64," in text else [text]
        text = "".join(part if i % 2 else self._anywhere(part) for i, part in enumerate(parts))
        out, last = [], 0
        for zone in _ZONES.finditer(text):
            out += [self._visible(text[last : zone.start()]), self._hidden(zone.group(0), zone.group(1))]
            last = zone.end()
        return "".join([*out, self._visible(text[last:])])

    def _anywhere(self, text: str) -> str:
        if "PRIVATE KEY" in text:
            text = _PRIVATE_KEY.sub(self._private_key, text)
        for rule, (signs, pattern, placeholder) in _SECRETS.items():
            if any(sign in text for sign in signs):
                text = self._sub(pattern, rule, text, _constant(placeholder), placeholder.__eq__)
        if "eyJ" in text:
            text = self._sub(_JWT, "jwt", text, _constant(_JWT_EXAMPLE), _no_jwt)
        if _URL_LOGIN.search(text):
            text = self._sub(_URL_PASSWORD, "url_password", text, _constant("user:password"), _sample_login)
        if _DOMAIN.search(text):
            text = self._sub(_EMAIL, "email", text, _email, _sample_email, str.lower)
        return _IBAN.sub(self._iban, text)

    def _visible(self, text: str) -> str:
        if not _DIGITS.search(text):
            return text
        text = self._sub(_CARD, "card", text, _card, _no_card, _digits)
        text = self._sub(_PHONES, "phone", text, _phone, _no_phone, _number, group=0)
        text = self._sub(_LABELLED, "phone", text, _phone, _no_phone, _number)
        text = self._sub(_TEL, "phone", text, _phone, _no_phone, _number)
        text = self._sub(_URL_IPV4, "ipv4", text, _ipv4, _no_address)
        return self._sub(_IPV4, "ipv4", text, _ipv4, _no_address, before=_VERSION)

    def _hidden(self, zone: str, element: str | None) -> str:
        """A tag, a comment, or an element whose inside is code or a drawing."""
        if not _DIGITS.search(zone):
            return zone
        if element is None:
            zone = _ATTRIBUTE.sub(lambda m: m["before"] + m["v"][0] + self._visible(m["v"][1:-1]) + m["v"][0], zone)
            zone = self._sub(_TEL, "phone", zone, _phone, _no_phone, _number)
        elif element.lower() == "script":
            zone = self._sub(_QUOTED_IPV4, "ipv4", zone, _ipv4, _no_address)
            zone = self._sub(_QUOTED_CARD, "card", zone, _card, _no_card, _digits)
        return self._sub(_URL_IPV4, "ipv4", zone, _ipv4, _no_address)

    def _sub(
        self,
        pattern: re.Pattern[str],
        rule: str,
        text: str,
        placeholder: Callable[[int, str], str],
        harmless: Callable[[str], bool],
        canonical: Callable[[str], str] = str,
        group: int | str = "v",
        before: re.Pattern[str] | None = None,
    ) -> str:
        """Replace group `group` of every match that is not `harmless`; `before` is what must not stand before it."""

        def put(match: Match) -> str:
            value = match[group]
            if (
                value is None
                or harmless(value)
                or (before and before.search(text, max(0, match.start() - 20), match.start()))
            ):
                return match[0]
            start, end = match.span(group)
            new = self._one(rule, canonical(value), lambda n: placeholder(n, value))
            return match[0][: start - match.start()] + new + match[0][end - match.start() :]

        return pattern.sub(put, text)

    def _one(self, rule: str, value: str, placeholder: Callable[[int], str]) -> str:
        """The placeholder of a value: numbered by rule, in the order in which values are met."""
        if (rule, value) not in self._given:
            self.counts[rule] += 1
            self._given[(rule, value)] = placeholder(self.counts[rule])
        return self._given[(rule, value)]

    def _private_key(self, match: Match) -> str:
        kind = match["kind"]
        return self._one("private_key", match["v"], lambda n: f"-----BEGIN {kind}-----MASKED-----END {kind}-----")

    def _iban(self, match: Match) -> str:
        whole = match[0]
        length = _IBAN_LENGTHS.get(whole[:2], 0)
        value, end = "", 0
        while len(value) < length and end < len(whole):
            value += whole[end].strip()
            end += 1
        beyond = whole[end : end + 1] or match.string[match.end() : match.end() + 1]
        inside = match.start() > 0 and (match.string[match.start() - 1].isalnum())
        if not length or len(value) < length or inside or beyond.isalnum() or _mod97(value) != 1:
            return whole
        if value in _IBAN_EXAMPLES or value[4:8] == "WEST":
            return whole
        return self._one("iban", value, lambda n: _iban_example(n, " " in whole[:end])) + whole[end:]


def masked(row: dict[str, Any], columns: Sequence[str]) -> tuple[dict[str, Any], str]:
    """A row whose text `columns` are masked alike, and the ledger's detail: `masked: 2 email, 1 phone`, or nothing."""
    mask = Mask()
    new = {**row, **{name: mask.text(row[name]) for name in columns}}
    return new, detail(mask.counts)


def detail(counts: Counter[str]) -> str:
    """Counts in words, by rule."""
    return f"masked: {', '.join(f'{n} {rule}' for rule, n in sorted(counts.items()))}" if counts else ""


def _constant(placeholder: str) -> Callable[[int, str], str]:
    return lambda n, value: placeholder


def _no_jwt(value: str) -> bool:
    head = value.split(".")[0]
    try:
        return value == _JWT_EXAMPLE or "alg" not in json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (binascii.Error, ValueError, TypeError):
        return True


def _sample_login(value: str) -> bool:
    user, _, password = value.partition(":")
    return password.lower().strip("[]") in _SAMPLE_PASSWORDS or password.isdigit() and "." in user


def _sample_email(value: str) -> bool:
    user, _, domain = value.lower().partition("@")
    labels = domain.split(".")
    sample = labels[-1] in _SAMPLE_ENDS or labels[-2] in _SAMPLE_DOMAINS or "example" in labels
    return sample or labels[-1] in _FILE_ENDS or user in _SAMPLE_USERS


def _email(n: int, _: str) -> str:
    return f"user{n if n > 1 else ''}@example.com"


def _digits(value: str) -> str:
    return re.sub(r"\D", "", value)


def _number(value: str) -> str:
    """A telephone number with or without its country's code."""
    return _digits(value)[-9:]


def _no_phone(value: str) -> bool:
    digits = _digits(value)
    if not 9 <= len(digits) <= 15 and not value.startswith(("+", "(")) or not 7 <= len(digits) <= 15:
        return True
    if value.startswith("+") and len(digits) < 9:
        return True
    if re.fullmatch(r"\+?\d{1,3}(?:\.\d{3})+", value):  # thousands
        return True
    national = digits[-10:]
    fictional = "555" in (national[:3], national[3:6]) or re.search(r"(?:207946|7700900)\d{3,4}$", digits)
    counted = digits in "01234567890123456789" or digits[1:] in "1234567890123" or len(set(digits[-7:])) == 1
    return bool(fictional or counted)


def _phone(n: int, _: str) -> str:
    return f"555-{100 + (n - 1) % 100:04d}"


def _no_address(value: str) -> bool:
    octets = [int(part) for part in value.split(".")]
    if max(octets) > 255 or any(len(part) > 1 and part[0] == "0" for part in value.split(".")):
        return True
    # Two small numbers after the first, or zeros at the end, are a version's; so is one without a large number.
    if max(octets) < 32 or octets[2] == octets[3] == 0:
        return True
    if octets[0] <= 2 and max(octets) < 100:  # an object identifier, 2.5.29.35
        return True
    return not ipaddress.IPv4Address(value).is_global or octets[0] >= 224


def _ipv4(n: int, _: str) -> str:
    return f"203.0.113.{(n - 1) % 254 + 1}"


def _luhn(digits: str) -> int:
    """The sum of the Luhn formula modulo 10: 0 for a number that is whole."""
    doubled = [int(digit) * (2 if i % 2 else 1) for i, digit in enumerate(reversed(digits))]
    return sum(value - 9 if value > 9 else value for value in doubled) % 10


def _no_card(value: str) -> bool:
    digits = _digits(value)
    return bool(not _CARD_BRANDS.match(digits) or _luhn(digits) or _CARD_EXAMPLES.fullmatch(digits))


def _card(n: int, value: str) -> str:
    """A test number of the same length and grouping that passes the Luhn check."""
    places = len(_digits(value))
    body = f"4000{n - 1:0{places - 5}d}"
    digits = iter(body + str(-_luhn(body + "0") % 10))
    return re.sub(r"\d", lambda _: next(digits), value)


def _mod97(iban: str) -> int:
    return int("".join(str(int(char, 36)) for char in iban[4:] + iban[:4])) % 97


def _iban_example(n: int, spaced: bool) -> str:
    body = f"WEST123456{98765431 + n:08d}"
    value = f"GB{98 - _mod97('GB00' + body):02d}{body}"
    return " ".join(value[i : i + 4] for i in range(0, len(value), 4)) if spaced else value


def rules() -> Iterable[str]:
    """The names of all rules."""
    return ["private_key", *_SECRETS, "jwt", "url_password", "email", "iban", "phone", "ipv4", "card"]
