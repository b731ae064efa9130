"""Google's font style sheets, answered from the faces of @fontsource that the mirror holds.

In: a URL of fonts.googleapis.com, and the faces held. Out: the style sheet that it stands for, its fonts at addresses
that `face` reads back. Families that are not held are left out and named. Latin and Latin Extended only; other scripts
come from the system's fonts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from artifactscoder.render.cdn import LONGEST_URL

SHEETS = ("fonts.googleapis.com", "fonts.bunny.net")
FACES = "https://fonts.gstatic.com/npm"
FACE = re.compile(r"https://fonts\.gstatic\.com/npm/(?P<name>@?[\w.-]+(?:/[\w.-]+)?)@(?P<version>[\w.-]+)/(?P<path>.+)")
# Families of symbols: they come with a class, and Material Icons as a package that is no @fontsource.
ICONS = {
    "Material Icons": "material-icons",
    "Material Icons Outlined": "material-icons-outlined",
    "Material Icons Round": "material-icons-round",
    "Material Icons Sharp": "material-icons-sharp",
    "Material Icons Two Tone": "material-icons-two-tone",
}
# Names under which Google serves, or has served, what the mirror has by another.
RENAMED = {"Source Sans Pro": "Source Sans 3", "Source Serif Pro": "Source Serif 4", "Fredoka One": "Fredoka"}
SYMBOL_CLASS = """
.%s {
  font-family: '%s'; font-weight: normal; font-style: normal; font-size: 24px; line-height: 1; letter-spacing: normal;
  text-transform: none; display: inline-block; white-space: nowrap; word-wrap: normal; direction: ltr;
  -webkit-font-feature-settings: 'liga'; -webkit-font-smoothing: antialiased;
}
"""
NORMAL = (400, 400)


@dataclass
class Sheet:
    """A style sheet and what it holds, in words."""

    families: list[str] = field(default_factory=list)
    text: str = ""


@dataclass(frozen=True)
class Face:
    """The file of a face."""

    name: str
    version: str
    path: str


def face(url: str) -> Face | None:
    """The file that an address in one of our style sheets stands for."""
    match = FACE.fullmatch(url)
    return Face(match["name"], match["version"], match["path"]) if match else None


def sheet(url: str, held: dict[str, dict[str, Any]]) -> Sheet | None:
    """The style sheet of a URL; None if it is not one of Google's. Without families if none of them is held."""
    if len(url) > LONGEST_URL:
        return None
    try:
        parts = urlsplit(url)
        if parts.hostname not in SHEETS or parts.path.strip("/") not in ("css", "css2", "icon"):
            return None
        asked = [value for key, value in parse_qsl(parts.query) if key == "family"]
    except ValueError:
        return None
    made, missing = Sheet(), []
    for text in [part for value in asked for part in value.split("|")]:
        family, _, style = text.partition(":")
        family = " ".join(family.replace("+", " ").split())
        if family in ICONS:
            made.text += _icons(family)
        elif about := held.get(family) or held.get(RENAMED.get(family, "")):
            made.text += _faces(family, style, about)
        else:
            missing.append(family)
            continue
        made.families.append(family)
    if made.families and missing:
        made.families.append(f"without {', '.join(missing)}")
    return made


def _icons(family: str) -> str:
    name = ICONS[family]
    address = f"{FACES}/material-icons@1/iconfont/{name}.woff2"
    face = f"@font-face {{ font-family: '{family}'; font-style: normal; font-weight: 400; src: url({address}); }}"
    return face + SYMBOL_CLASS % (name, family)


def _faces(family: str, style: str, about: dict[str, Any]) -> str:
    """The @font-face rules of a family in these styles; one of symbols comes with its class."""
    text = ""
    wishes = _wishes(style)
    for italic, weights in wishes:
        kind = "italic" if italic else "normal"
        faces = [one for one in about["faces"] if one["style"] == kind]
        for one in _chosen(faces, weights):
            low, high = one["weight"]
            # Of a variable face only what was asked for, as Google writes it.
            low, high = (max(low, weights[0]), min(high, weights[1])) if low < high else (low, high)
            weight = f"{low} {high}" if low < high else f"{low}"
            spread = f" unicode-range: {one['range']};" if one["range"] else ""
            address = f"{FACES}/{about['package']}/{one['path']}"
            text += (
                f"@font-face {{ font-family: '{family}'; font-style: {kind}; font-weight: {weight}; "
                f"src: url({address}) format('woff2');{spread} }}\n"
            )
    if family.startswith("Material Symbols"):
        text += SYMBOL_CLASS % (family.lower().replace(" ", "-"), family)
    return text


def _chosen(faces: list[dict[str, Any]], weights: tuple[int, int]) -> list[dict[str, Any]]:
    """The faces of these weights; of one that is not held, those of the nearest."""
    low, high = weights
    within = [one for one in faces if one["weight"][0] <= high and one["weight"][1] >= low]
    if within or not faces:
        return within
    nearest = min(faces, key=lambda one: abs(one["weight"][0] - low))["weight"]
    return [one for one in faces if one["weight"] == nearest]


def _wishes(style: str) -> list[tuple[bool, tuple[int, int]]]:
    """The styles of one family, in the old notation (400,700italic) or the new (ital,wght@0,400;1,700)."""
    axes, new, values = style.partition("@")
    found: list[tuple[bool, tuple[int, int]]] = []
    if new:
        names = axes.split(",")
        for value in values.split(";"):
            given = dict(zip(names, value.split(","), strict=False))
            numbers = [int(float(one)) for one in re.findall(r"\d+(?:\.\d+)?", given.get("wght", "400"))] or [400]
            found.append((given.get("ital", "0") == "1", (numbers[0], numbers[-1])))
    else:
        for value in style.split(":")[0].split(","):
            number = re.search(r"\d00", value)
            weight = int(number[0]) if number else (700 if re.match(r"b(old)?", value) else 400)
            found.append((bool(re.search(r"i(talic)?$", value)), (weight, weight)))
    return list(dict.fromkeys(found)) or [(False, NORMAL)]
