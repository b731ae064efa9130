"""What a URL of a public CDN asks for: package, version, path. Pure; whether the mirror has it is mirror.py's matter.

In: a URL as a page wrote it. Out: `Wanted`, one for each file (jsDelivr combines several), or None if the host is no
CDN that is known here. The CDNs of npm packages name them as npm does; cdnjs, Google's and the like have names of
their own and leave the folders of builds away, hence `loose`: the file may lie deeper than asked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

LONGEST_URL = 2000
SPEC = re.compile(r"(?P<name>@[\w.-]+/[\w.-]+|[\w.-]+)(?:@(?P<version>[^/]+))?(?:/(?P<path>.*))?")


@dataclass(frozen=True)
class Wanted:
    """One file of a package."""

    names: tuple[str, ...]
    """The npm packages that may hold it."""
    version: str = ""
    """As asked: "18.2.0", "^18", "18", "latest", "r128" (three), or nothing."""
    path: str = ""
    """Within the package; empty: its entry."""
    loose: bool = False
    module: bool = False
    """Whether it is wanted as an ES module that stands alone, as esm.sh gives it."""
    query: str = ""
    """Of a module: which versions it shall import, and what it shall leave to the page's import map."""
    unpkg: bool = False
    """Whether the entry is unpkg's and not jsDelivr's."""


# Names of cdnjs (in lower case) that npm has otherwise. Several: their majors are in different packages.
NAMES = {
    "angular.js": ("angular",),
    "babel-standalone": ("@babel/standalone", "babel-standalone"),
    "bodymovin": ("lottie-web",),
    "cannon.js": ("cannon",),
    "clipboard.js": ("clipboard",),
    "dat-gui": ("dat.gui",),
    "fabric.js": ("fabric",),
    "filesaver.js": ("file-saver",),
    "font-awesome": ("@fortawesome/fontawesome-free", "font-awesome"),
    "hammer.js": ("hammerjs",),
    "handlebars.js": ("handlebars",),
    "highlight.js": ("@highlightjs/cdn-assets",),
    "htmx": ("htmx.org",),
    "interact.js": ("interactjs",),
    "jquery-ui": ("jquery-ui-dist",),
    "jqueryui": ("jquery-ui-dist",),
    "jsdiff": ("diff",),
    "limonte-sweetalert2": ("sweetalert2",),
    "lodash.js": ("lodash",),
    "masonry": ("masonry-layout",),
    "materialdesign-webfont": ("@mdi/font",),
    "materialize": ("materialize-css",),
    "moment.js": ("moment",),
    "mustache.js": ("mustache",),
    "p5.js": ("p5",),
    "paper.js": ("paper",),
    "pdf.js": ("pdfjs-dist",),
    "picocss": ("@picocss/pico",),
    "plotly.js": ("plotly.js-dist-min",),
    "plotly.js-dist": ("plotly.js-dist-min",),
    "plotly.js-basic-dist": ("plotly.js-basic-dist-min",),
    "popper.js": ("@popperjs/core", "popper.js"),
    "prism": ("prismjs",),
    "pure": ("purecss",),
    "rough.js": ("roughjs",),
    "sortable": ("sortablejs",),
    "splidejs": ("@splidejs/splide",),
    "svg.js": ("@svgdotjs/svg.js",),
    "three.js": ("three",),
    "threejs": ("three",),
    "twitter-bootstrap": ("bootstrap",),
    "underscore.js": ("underscore",),
    "velocity": ("velocity-animate",),
}
# Repositories whose files are those of a package.
REPOSITORIES = {
    "highlightjs/cdn-release": ("@highlightjs/cdn-assets",),
    "jquery/jquery": ("jquery",),
    "twbs/bootstrap": ("bootstrap",),
    "mrdoob/three.js": ("three",),
    "fortawesome/font-awesome": ("@fortawesome/fontawesome-free", "font-awesome"),
    "alpinejs/alpine": ("alpinejs",),
    "chartjs/chart.js": ("chart.js",),
    "saadeghi/daisyui": ("daisyui",),
    "necolas/normalize.css": ("normalize.css",),
}
PLUGINS = ("forms", "typography", "aspect-ratio", "container-queries")
Parse = Callable[[str, str], "list[Wanted] | None"]


def parse(url: str) -> list[Wanted] | None:
    """The files that a URL asks for; an empty list: of a CDN, but nothing that a mirror could hold."""
    if len(url) > LONGEST_URL:
        return None
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").removeprefix("www.")
        port = parts.port
    except ValueError:
        return None
    reader = HOSTS.get(host)
    if reader is None or parts.scheme not in ("http", "https") or port not in (None, 80, 443):
        return None
    path = unquote(parts.path).strip("/")
    # Only names that the index has are ever opened; this spares it the absurd ones.
    if ".." in path or "\\" in path or "\0" in path:
        return []
    return reader(path, parts.query) or []


def _spec(text: str, **more: bool | str) -> list[Wanted]:
    match = SPEC.fullmatch(text)
    if not match:
        return []
    name, version, path = match["name"], match["version"] or "", match["path"] or ""
    other = NAMES.get(name.lower())
    names = (name, *(one for one in other if one != name)) if other else (name,)
    # A package that is held under another name has other folders, too.
    return [Wanted(names, version, path.strip("/"), loose=bool(other), **more)]  # type: ignore[arg-type]


def _folders(text: str, names: tuple[str, ...] | None = None) -> list[Wanted]:
    """NAME/VERSION/PATH, as cdnjs has it."""
    name, _, rest = text.partition("/")
    version, _, path = rest.partition("/")
    plain = name.lower()
    known = names or NAMES.get(plain) or tuple(dict.fromkeys((plain, plain.removesuffix(".js"), plain + ".js")))
    return [Wanted(known, version, path, loose=True)] if path else []


def _jsdelivr(path: str, query: str) -> list[Wanted] | None:
    kind, _, rest = path.partition("/")
    if kind == "combine":
        return [one for part in rest.split(",") for one in _jsdelivr(part, "") or [Wanted(())]]
    if kind == "npm":
        if rest == "+esm" or rest.endswith("/+esm"):
            return _spec(rest[:-4].rstrip("/"), module=True)
        return _spec(rest)
    if kind == "gh":
        user, _, rest = rest.partition("/")
        repository, _, file = rest.partition("/")
        repository, _, version = repository.partition("@")
        names = REPOSITORIES.get(f"{user}/{repository}".lower())
        return [Wanted(names, version.removeprefix("v"), file.removeprefix("build/"), loose=True)] if names else None
    return None


def _unpkg(path: str, query: str) -> list[Wanted]:
    if "module" in parse_qs(query, keep_blank_values=True):
        return _spec(path, module=True)
    return _spec(path, unpkg=True)


def _esm(path: str, query: str) -> list[Wanted]:
    """esm.sh and its like; `*NAME` leaves all imports to the page, a `vNNN/` before names the server's build."""
    path = re.sub(r"^(v\d+|stable|pin|npm|-)/(?=.)", "", path).removeprefix("npm:")
    if path.startswith("*"):
        path, query = path[1:], query + "&external=*"
    path = re.sub(r"^((?:@[^/@]+/)?[^/@]+@v?[\w.^~-]+?)-[A-Za-z0-9]{16,}(?=/|$)", r"\1", path)  # skypack's pins
    return _spec(path, module=True, query=query)


def _under(prefix: str, names: tuple[str, ...] | None = None) -> Parse:
    """Hosts that have cdnjs's layout below a folder."""

    def reader(path: str, query: str) -> list[Wanted] | None:
        return _folders(path.removeprefix(prefix), names) if path.startswith(prefix) else None

    return reader


def _matched(*rules: tuple[str, tuple[str, ...], str]) -> Parse:
    """Hosts of one project: pattern of the path, packages, and the path in the package; group `v` is the version."""

    def reader(path: str, query: str) -> list[Wanted] | None:
        for pattern, names, target in rules:
            if match := re.fullmatch(pattern, path):
                version = match.groupdict().get("v") or ""
                return [Wanted(names, version.removeprefix("v"), match.expand(target), loose=True)]
        return None

    return reader


def _tailwind(path: str, query: str) -> list[Wanted]:
    """The play CDN, of version 3; all of its plugins are one build, a single one has its own."""
    plugins = [name.partition("@")[0] for name in ",".join(parse_qs(query).get("plugins", [])).split(",") if name]
    known = [name for name in plugins if name in PLUGINS]
    file = f"tailwindcss-with-{known[0]}.js" if len(known) == 1 else "tailwindcss.js"
    if len(known) > 1:
        file = "tailwindcss-with-all-plugins.js"
    version = re.match(r"\d[\d.]*", path)
    return [Wanted(("tailwindcss-cdn",), version[0] if version else "3", file)]


_bootstrap = _matched(
    (r"bootstrap/(?P<v>[\d.]+)/(?P<p>.+)", ("bootstrap",), r"\g<p>"),
    (r"font-awesome/(?P<v>[\d.]+)/(?P<p>.+)", ("font-awesome", "@fortawesome/fontawesome-free"), r"\g<p>"),
)
HOSTS: dict[str, Parse] = {
    **dict.fromkeys(("cdn.jsdelivr.net", "fastly.jsdelivr.net", "gcore.jsdelivr.net", "cdn.jsdmirror.com"), _jsdelivr),
    "unpkg.com": _unpkg,
    "npm.elemecdn.com": _unpkg,
    **dict.fromkeys(("esm.sh", "cdn.esm.sh", "cdn.skypack.dev", "esm.run", "jspm.dev", "ga.jspm.io"), _esm),
    "cdnjs.cloudflare.com": _under("ajax/libs/"),
    "ajax.googleapis.com": _under("ajax/libs/"),
    "cdn.bootcdn.net": _under("ajax/libs/"),
    "cdn.bootcss.com": _under(""),
    "cdn.staticfile.org": _under(""),
    "cdn.staticfile.net": _under(""),
    "lib.baomitu.com": _under(""),
    **dict.fromkeys(("stackpath.bootstrapcdn.com", "maxcdn.bootstrapcdn.com", "netdna.bootstrapcdn.com"), _bootstrap),
    "use.fontawesome.com": _matched(
        (r"releases/v(?P<v>[\d.]+)/(?P<p>.+)", ("@fortawesome/fontawesome-free",), r"\g<p>")
    ),
    "code.jquery.com": _matched(
        (r"jquery-(?P<v>\d[\w.]*?)(?P<p>(\.slim)?(\.min)?\.js)", ("jquery",), r"jquery\g<p>"),
        (r"jquery(-latest)?(?P<p>(\.min)?\.js)", ("jquery",), r"jquery\g<p>"),
        (
            r"ui/(?P<v>[\d.]+)/(themes/[\w-]+/)?(?P<p>jquery-ui(\.min)?\.(js|css)|images/.+)",
            ("jquery-ui-dist",),
            r"\g<p>",
        ),
    ),
    "ajax.aspnetcdn.com": _matched(
        (r"ajax/jQuery/jquery-(?P<v>\d[\w.]*?)(?P<p>(\.slim)?(\.min)?\.js)", ("jquery",), r"jquery\g<p>")
    ),
    "cdn.tailwindcss.com": _tailwind,
    "d3js.org": _matched(
        (r"d3\.v(?P<v>\d+)(?P<p>(\.min)?\.js)", ("d3",), r"d3\g<p>"),
        (r"topojson\.v\d(?P<p>(\.min)?\.js)", ("topojson",), r"topojson\g<p>"),
    ),
    "cdn.plot.ly": _matched(
        (r"plotly-basic-(?P<v>[\d.]+\d)(\.min)?\.js", ("plotly.js-basic-dist-min",), "plotly-basic.min.js"),
        (r"plotly-(?P<v>[\d.]+\d)(\.min)?\.js", ("plotly.js-dist-min",), "plotly.min.js"),
        # The name that promises the latest has stood for 1.58.5 for years.
        (r"plotly-(?P<v>)latest(\.min)?\.js", ("plotly.js-dist-min",), "plotly.min.js"),
    ),
    "threejs.org": _matched((r"(?P<p>(build|examples)/.+)", ("three",), r"\g<p>")),
    "cdn.sheetjs.com": _matched((r"xlsx-(?P<v>[\d.]+\d)/package/(?P<p>.+)", ("xlsx",), r"\g<p>")),
    "cdn.quilljs.com": _matched((r"(?P<v>[\d.]+\d)/(?P<p>.+)", ("quill",), r"\g<p>")),
}
