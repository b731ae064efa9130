"""The common front-end libraries, held here, in place of the CDNs from which pages load them.

In: a URL that a page asks for. Out: an `Answer` with bytes and type, or the reason why there is none; None where the
host is no CDN. The files were fetched from npm at set-up (envs/mirror.sh), pinned by envs/mirror/package-lock.json. A
page gets the exact version where it is held, else the nearest one of the same major (of 0.x: the nearest minor), never
silently another. What it got in place of what it asked for stands in the verdict.

Only names that the index lists are ever opened, so no URL can reach a file beside the mirror. Loading the index costs
10 ms, a first answer a read of the file, a repeated one nothing: 64 MB of answers are kept in memory.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import sys
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from artifactscoder import vendored
from artifactscoder.errors import UserError
from artifactscoder.render import cdn, fonts
from artifactscoder.render.cdn import Wanted

FOLDER = Path(sys.prefix) / "share/artifactscoder/mirror"
KEPT_BYTES = 64 << 20
MODULE_HOST = "https://esm.sh"
"""All ES modules that stand alone have one address, whichever CDN was asked: two copies of React break a page."""
TYPES = {
    "js": "text/javascript; charset=utf-8",
    "mjs": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "json": "application/json; charset=utf-8",
    "woff2": "font/woff2",
    "woff": "font/woff",
    "ttf": "font/ttf",
    "svg": "image/svg+xml",
    "png": "image/png",
    "gif": "image/gif",
    "jpg": "image/jpeg",
    "wasm": "application/wasm",
}
# A bare import, as it stands in a module's text.
IMPORT = re.compile(r"""(\b(?:from|import)\s*\(?\s*)(["'])(?![./])((?:@[\w.-]+/)?[\w.-]+)((?:/[\w./-]+)?)\2""")
TAG = re.compile(r"<(?:script|link)\b[^>]{0,2000}>", re.IGNORECASE)
INTEGRITY = re.compile(r"""(\s)(integrity\s*=)""", re.IGNORECASE)
ADDRESS = re.compile(r"""\s(?:src|href)\s*=\s*["']?([^\s"'>]+)""", re.IGNORECASE)


@dataclass(frozen=True)
class Answer:
    """What is served for a URL."""

    served: str
    """NAME@VERSION/PATH, several joined by a comma."""
    type: str
    body: str
    """In base64."""
    exact: bool
    """Whether it is just the file that was asked for, of just that version."""


@dataclass(frozen=True)
class Refusal:
    """Why a CDN's URL is not served."""

    reason: str


def load() -> Mirror:
    """The installed mirror; UserError with the remedy if it is missing, or not the one that this checkout names."""
    mirror = _load(FOLDER)
    wanted = vendored.digest()
    if wanted and mirror.digest != wanted:
        raise UserError(f"The mirror of front-end libraries in {FOLDER} is not the one of envs/mirror: run make setup")
    return mirror


@functools.cache
def _load(folder: Path) -> Mirror:
    try:
        return Mirror(folder)
    except (OSError, ValueError):
        raise UserError(
            f"There is no mirror of front-end libraries in {folder}: run make setup, or envs/mirror.sh alone; "
            "to render without one, set render.mirror to false (make demo MIRROR=no)"
        ) from None


class Mirror:
    """`answer(url)`; OSError or ValueError if the folder holds no mirror."""

    def __init__(self, folder: Path) -> None:
        self.digest = (folder / "stamp").read_text().strip()
        index = json.loads((folder / "index.json").read_text())
        self._folder = folder
        self._packages: dict[str, dict[str, dict[str, Any]]] = index["packages"]
        self._fonts: dict[str, dict[str, Any]] = index["fonts"]
        self._kept: OrderedDict[str, Answer] = OrderedDict()
        self._size = 0

    def answer(self, url: str) -> Answer | Refusal | None:
        """What to serve for this URL, without its fragment."""
        url = url.partition("#")[0]
        if url in self._kept:
            self._kept.move_to_end(url)
            return self._kept[url]
        found = self._found(url)
        if isinstance(found, Answer):
            self._kept[url] = found
            self._size += len(found.body)
            while self._size > KEPT_BYTES and len(self._kept) > 1:
                self._size -= len(self._kept.popitem(last=False)[1].body)
        return found

    def relaxed(self, html: str) -> str:
        """The page without the `integrity` of those files that are served in another version than the page asks for.

        The sum cannot hold for them, and the browser would drop the file. Where the version is exact the attribute
        stays, and a false sum fails as it does elsewhere.
        """
        if "integrity" not in html.lower():
            return html

        def tag(match: re.Match[str]) -> str:
            text = match[0]
            address = ADDRESS.search(text)
            if address is None or not INTEGRITY.search(text):
                return text
            url = address[1].replace("&amp;", "&")
            found = self.answer(f"https:{url}" if url.startswith("//") else url)
            if isinstance(found, Answer) and not found.exact:
                return INTEGRITY.sub(r"\1data-\2", text)
            return text

        return TAG.sub(tag, html)

    def _found(self, url: str) -> Answer | Refusal | None:
        if (sheet := fonts.sheet(url, self._fonts)) is not None:
            if sheet.families:
                return _answer(f"fonts: {', '.join(sheet.families)}", "css", sheet.text.encode(), True)
            return Refusal("no vendored font")
        if (face := fonts.face(url)) is not None:
            wanted: list[Wanted] | None = [Wanted((face.name,), face.version, face.path)]
        else:
            wanted = cdn.parse(url)
        if wanted is None:
            return None
        parts = [self._one(one) for one in wanted]
        if not parts:
            return Refusal("not of a package")
        answers = [part for part in parts if isinstance(part, tuple)]
        if len(answers) < len(parts):
            return next(part for part in parts if isinstance(part, Refusal))
        body = answers[0][1] if len(answers) == 1 else b"\n;\n".join(body for _, body, _ in answers)
        served = ", ".join(name for name, _, _ in answers)
        return _answer(served, served.rpartition(".")[2], body, all(exact for _, _, exact in answers))

    def _one(self, wanted: Wanted) -> tuple[str, bytes, bool] | Refusal:
        """NAME@VERSION/PATH, bytes, whether it is just the file that was asked for."""
        held = [(name, self._packages[name]) for name in wanted.names if name in self._packages]
        if not held:
            return Refusal("not vendored")
        known = False
        for name, versions in held:
            for version in ordered(list(versions), wanted.version):
                known = True
                package = versions[version]
                if wanted.module and (made := self._module(name, version, package, wanted)):
                    return *made, False
                path = self._path(package, wanted)
                if path is not None:
                    body = (self._folder / "npm" / f"{name}@{version}" / path).read_bytes()
                    if wanted.module and path.endswith("js"):
                        body = self._linked(body.decode(), name, version, wanted.query).encode()
                    same = version == _plain(wanted.version) and path.endswith(wanted.path)
                    return f"{name}@{version}/{path}", body, same
        return Refusal("no such file" if known else "no vendored version")

    def _path(self, package: dict[str, Any], wanted: Wanted) -> str | None:
        """The file of a package that a path stands for."""
        files = package["files"]
        if not wanted.path:
            entry = package["entry"]
            first = entry["unpkg" if wanted.unpkg else "jsdelivr"]
            # An entry for bundlers is not held; the usual name of a build is what a page can use.
            paths = [
                one for given in (first, entry["jsdelivr"], entry["usual"]) if given for one in (given, twin(given))
            ]
            return next((one for one in paths if one in files), None)
        path = wanted.path
        if wanted.module and path.startswith("addons/"):
            path = path.replace("addons/", "examples/jsm/", 1)  # three's own short name for them
        for one in (path, twin(path), f"{path}.js", f"{path}.min.js", f"{path}.mjs", f"{path}.css"):
            if one in files:
                return one
            if wanted.loose and (deep := [file for file in files if file.endswith(f"/{one}")]):
                return min(deep, key=lambda file: (file.count("/"), file))
        if not wanted.loose:
            return None
        # The other CDN has folders that the package does not.
        name = path.rpartition("/")[2]
        return next((file for one in (name, twin(name)) for file in files if f"/{file}".endswith(f"/{one}")), None)

    def _module(self, name: str, version: str, package: dict[str, Any], wanted: Wanted) -> tuple[str, bytes] | None:
        """An ES module that set-up has built: at its own address the module, elsewhere one line that passes it on."""
        final = re.fullmatch(r"es2022/(.+)\.mjs", wanted.path)
        sub = final[1] if final else re.sub(r"(/?index)?\.(m?js)$", "", wanted.path)
        sub = "" if sub == "index" else sub
        about = package["modules"].get(sub)
        if about is None:
            return None
        file = f"{name}@{version}/{sub or 'index'}.mjs"
        if final:
            text = (self._folder / "esm" / file).read_text()
            return file, self._linked(text, name, version, wanted.query).encode()
        target = json.dumps(self._address(name, version, sub, wanted.query))
        passed = f"export * from {target};" + (f"export {{ default }} from {target};" if about["default"] else "")
        return file, passed.encode()

    def _address(self, name: str, version: str, sub: str, query: str) -> str:
        # A module that imports nothing is the same for all.
        given = parse_qs(query) if self._packages[name][version]["modules"][sub]["imports"] else {}
        asked = {key: given[key][0] for key in ("deps", "external") if key in given}
        tail = "?" + "&".join(f"{key}={value}" for key, value in asked.items()) if asked else ""
        return f"{MODULE_HOST}/{name}@{version}/es2022/{sub or 'index'}.mjs{tail}"

    def _linked(self, text: str, name: str, version: str, query: str) -> str:
        """A module's text whose imports of held packages are addresses."""
        asked = parse_qs(query)
        outside = set(",".join(asked.get("external", [])).split(","))
        dependencies = dict(
            part.rsplit("@", 1) for part in ",".join(asked.get("deps", [])).split(",") if part.rfind("@") > 0
        )
        needs = self._packages[name][version]["needs"]

        def link(match: re.Match[str]) -> str:
            other, sub = match[3], match[4].strip("/")
            if other not in self._packages or other in outside or "*" in outside:
                return match[0]
            wish = version if other == name else dependencies.get(other) or needs.get(other, "")
            chosen = ordered(list(self._packages[other]), wish)
            fitting = [one for one in chosen if sub in self._packages[other][one]["modules"]]
            if not fitting:
                return match[0]
            return f"{match[1]}{match[2]}{self._address(other, fitting[0], sub, query)}{match[2]}"

        return IMPORT.sub(link, text)


def _answer(served: str, suffix: str, body: bytes, exact: bool) -> Answer:
    kind = TYPES.get(suffix, "application/octet-stream")
    return Answer(served, kind, base64.b64encode(body).decode("ascii"), exact)


def twin(path: str) -> str:
    """The minified name of a file that is not, and the other way round; the mirror holds one of both."""
    if match := re.fullmatch(r"(.*)\.min\.(m?js|css)", path):
        return f"{match[1]}.{match[2]}"
    return re.sub(r"\.(m?js|css)$", r".min.\1", path)


Numbers = tuple[int, int, int]


def _plain(version: str) -> str:
    """A version as npm writes it."""
    release = re.fullmatch(r"r(\d+)", version)
    return f"0.{release[1]}.0" if release else version.removeprefix("v")


def _numbers(version: str) -> Numbers:
    found = [int(part) for part in re.findall(r"\d+", version.partition("-")[0])[:3]]
    return tuple((found + [0, 0, 0])[:3])  # type: ignore[return-value]


def ordered(held: list[str], asked: str) -> list[str]:
    """The held versions that may stand for what is asked, the best first: the exact one, then the nearest of its major.

    A range or a part of a version means the newest that it holds. Without a version: all, the newest first.
    """
    newest = sorted(held, key=lambda version: ("-" not in version, _numbers(version)), reverse=True)
    alternatives = [part.strip() for part in asked.split("||")]
    if len(alternatives) > 1:
        # The ranges of a package that takes several majors: the newest of any of them.
        fitting = {version for part in alternatives for version in ordered(held, part)}
        return [version for version in newest if version in fitting]
    match = re.match(r"(?P<sign>[\^~>=v\s]*)(?P<three>r?)(?P<numbers>\d+(\.\d+)*)(?P<rest>.*)", asked)
    if not match:
        # A tag: "latest", and "next" where there is something newer than what is out.
        early = [version for version in newest if "-" in version]
        return early + newest if asked in ("next", "beta") and early else newest
    if asked in held:
        return [asked, *(one for one in ordered([v for v in held if v != asked], asked))]
    text = ("0." if match["three"] else "") + match["numbers"]
    given = text.count(".") + 1
    want = _numbers(text)
    if ">" in match["sign"]:
        return [version for version in newest if _numbers(version) >= want]
    same = [version for version in newest if _numbers(version)[0] == want[0]]
    narrow = "~" in match["sign"] or given == 2 or want[0] == 0
    is_range = given < 3 or "^" in match["sign"] or "~" in match["sign"]
    if is_range and (given == 1 or not narrow):
        return same

    def distance(version: str) -> tuple[bool, int, int, Numbers]:
        numbers = _numbers(version)
        early = "-" in version  # one that is not out yet comes last
        patch = -numbers[2] if is_range else abs(numbers[2] - want[2])
        return early, abs(numbers[1] - want[1]), patch, tuple(-one for one in numbers)  # type: ignore[return-value]

    return sorted(same, key=distance)
