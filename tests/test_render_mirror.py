"""Claims about the mirror: what pages load from CDNs is answered from here, by the right file, and is seen to work."""

from __future__ import annotations

import asyncio
import fnmatch
import hashlib
import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from artifactscoder.errors import UserError
from artifactscoder.render import Render, RenderOptions, RenderPool, mirror
from artifactscoder.render.mirror import Answer, Mirror, Refusal, ordered
from checkout import ROOT

OPTIONS = RenderOptions(width=640, height=400, timeout_s=30, image="png")
PAGES = Path(__file__).parent / "mirrored"
CDNJS = "https://cdnjs.cloudflare.com/ajax/libs"
JSDELIVR = "https://cdn.jsdelivr.net/npm"
# What pages ask for, and the file of the mirror that answers; * stands for what a newer lock may change.
URLS = f"""
https://unpkg.com/react@18/umd/react.production.min.js                   react@18.*/umd/react.production.min.js
https://unpkg.com/react@18.2.0/umd/react.development.js                  react@18.*/umd/react.development.js
https://unpkg.com/react-dom@17/umd/react-dom.production.min.js           react-dom@17.*/umd/react-dom.production.min.js
{CDNJS}/react/16.13.1/umd/react.production.min.js                        react@16.*/umd/react.production.min.js
{CDNJS}/babel-standalone/7.23.5/babel.min.js                             @babel/standalone@7.*/babel.min.js
{CDNJS}/babel-standalone/6.26.0/babel.js                                 babel-standalone@6.26.0/babel.min.js
https://unpkg.com/@babel/standalone                                      @babel/standalone@7.*/babel.min.js
https://unpkg.com/babel-standalone@6/babel.min.js                        babel-standalone@6.26.0/babel.min.js
https://unpkg.com/vue@3/dist/vue.global.prod.js                          vue@3.*/dist/vue.global.prod.js
{JSDELIVR}/vue@2.6.14/dist/vue.min.js                                    vue@2.7.16/dist/vue.min.js
{JSDELIVR}/vue@2                                                         vue@2.7.16/dist/vue.min.js
{CDNJS}/vue/3.3.4/vue.global.min.js                                      vue@3.*/dist/vue.global.js
https://unpkg.com/vue@next                                               vue@3.*/dist/vue.global*
https://unpkg.com/vue@3/dist/vue.esm-browser.js                          vue@3.*/dist/vue.esm-browser.js
https://cdn.tailwindcss.com                                              tailwindcss-cdn@3.*/tailwindcss.js
https://cdn.tailwindcss.com/3.4.1                                        tailwindcss-cdn@3.*/tailwindcss.js
https://cdn.tailwindcss.com?plugins=forms                                tailwindcss-cdn@3.*/tailwindcss-with-forms.js
https://cdn.tailwindcss.com/?plugins=forms,typography                    tailwindcss-cdn@3.*/*-all-plugins.js
{JSDELIVR}/@tailwindcss/browser@4                                        @tailwindcss/browser@4.*/dist/index.global.js
{JSDELIVR}/tailwindcss@2.2.19/dist/tailwind.min.css                      tailwindcss@2.2.19/dist/tailwind.min.css
https://unpkg.com/tailwindcss@^2/dist/tailwind.min.css                   tailwindcss@2.2.19/dist/tailwind.min.css
{JSDELIVR}/daisyui@4.4.19/dist/full.min.css                              daisyui@4.*/dist/full*.css
//unpkg.com/alpinejs                                                     alpinejs@3.*/dist/cdn.min.js
{JSDELIVR}/alpinejs@3.x.x/dist/cdn.min.js                                alpinejs@3.*/dist/cdn.min.js
https://unpkg.com/htmx.org@1.9.10                                        htmx.org@1.*/dist/htmx.min.js
{CDNJS}/three.js/r128/three.min.js                                       three@0.128.0/build/three.min.js
{CDNJS}/three.js/0.128.0/three.js                                        three@0.128.0/build/three.min.js
{JSDELIVR}/three@0.128.0/examples/js/controls/OrbitControls.js   three@0.128.0/examples/js/controls/OrbitControls.js
https://unpkg.com/three@0.128.0/examples/js/loaders/GLTFLoader.js   three@0.128.0/examples/js/loaders/GLTFLoader.js
https://unpkg.com/three@0.158.0/build/three.module.js                    three@0.160.0/build/three.module.min.js
{JSDELIVR}/three@0.160.0/examples/jsm/controls/OrbitControls.js three@0.160.0/examples/jsm/controls/OrbitControls.js
https://threejs.org/build/three.module.js                                three@0.*/build/three.module*.js
{JSDELIVR}/three@0.146.0/examples/js/postprocessing/EffectComposer.js    three@0.147.0/examples/js/postprocessing/*.js
{JSDELIVR}/chart.js                                                      chart.js@4.*/dist/chart.umd*.js
{JSDELIVR}/chart.js@2.9.4/dist/Chart.min.js                              chart.js@2.9.4/dist/Chart.min.js
{CDNJS}/Chart.js/3.7.0/chart.min.js                                      chart.js@3.9.1/dist/chart.min.js
{CDNJS}/Chart.js/2.9.4/Chart.bundle.min.js                               chart.js@2.9.4/dist/Chart.bundle.min.js
{JSDELIVR}/chartjs-plugin-datalabels@2                                   chartjs-plugin-datalabels@2.*/dist/*.min.js
{JSDELIVR}/chartjs-adapter-date-fns                                      chartjs-adapter-date-fns@3.*/dist/*
https://d3js.org/d3.v7.min.js                                            d3@7.*/dist/d3.min.js
https://d3js.org/d3.v3.js                                                d3@3.5.17/d3.min.js
{CDNJS}/d3/5.16.0/d3.min.js                                              d3@5.16.0/dist/d3.min.js
https://unpkg.com/topojson@3                                             topojson@3.*/dist/topojson.min.js
{JSDELIVR}/world-atlas@2/countries-110m.json                             world-atlas@2.*/countries-110m.json
{JSDELIVR}/echarts@5.4.3/dist/echarts.min.js                             echarts@5.*/dist/echarts.min.js
{CDNJS}/echarts/5.4.2/echarts.min.js                                     echarts@5.*/dist/echarts.min.js
https://cdn.plot.ly/plotly-2.27.0.min.js                                 plotly.js-dist-min@2.*/plotly.min.js
https://cdn.plot.ly/plotly-basic-2.20.0.min.js   plotly.js-basic-dist-min@2.*/plotly-basic.min.js
{JSDELIVR}/bootstrap@5.3.0/dist/css/bootstrap.min.css                    bootstrap@5.3.*/dist/css/bootstrap.min.css
{JSDELIVR}/bootstrap@5.1.3/dist/js/bootstrap.bundle.min.js               bootstrap@5.*/dist/js/bootstrap.bundle.min.js
https://stackpath.bootstrapcdn.com/bootstrap/4.5.2/css/bootstrap.min.css bootstrap@4.6.2/dist/css/bootstrap.min.css
https://maxcdn.bootstrapcdn.com/bootstrap/3.4.1/js/bootstrap.min.js      bootstrap@3.4.1/dist/js/bootstrap.min.js
{CDNJS}/twitter-bootstrap/4.6.0/js/bootstrap.min.js                      bootstrap@4.6.2/dist/js/bootstrap.min.js
{JSDELIVR}/bootstrap-icons@1.11.1/font/bootstrap-icons.css               bootstrap-icons@1.*/font/bootstrap-icons*.css
{JSDELIVR}/@popperjs/core@2.11.8/dist/umd/popper.min.js                  @popperjs/core@2.11.8/dist/umd/popper.min.js
{CDNJS}/popper.js/1.16.0/umd/popper.min.js                               popper.js@1.16.*/dist/umd/popper.min.js
{CDNJS}/font-awesome/6.4.0/css/all.min.css                               @fortawesome/*@6.*/css/all.min.css
{CDNJS}/font-awesome/5.15.4/webfonts/fa-solid-900.woff2   @fortawesome/*@5.15.4/webfonts/fa-solid-900.woff2
{CDNJS}/font-awesome/4.7.0/css/font-awesome.min.css                      font-awesome@4.7.0/css/font-awesome.min.css
https://maxcdn.bootstrapcdn.com/font-awesome/4.7.0/css/font-awesome.css  font-awesome@4.7.0/css/font-awesome.min.css
https://use.fontawesome.com/releases/v5.15.4/css/all.css                 @fortawesome/*@5.15.4/css/all.min.css
https://code.jquery.com/jquery-3.6.0.min.js                              jquery@3.*/dist/jquery.min.js
https://code.jquery.com/jquery-3.5.1.slim.min.js                         jquery@3.*/dist/jquery.slim.min.js
https://ajax.googleapis.com/ajax/libs/jquery/1.12.4/jquery.min.js        jquery@1.12.4/dist/jquery.min.js
https://code.jquery.com/ui/1.12.1/jquery-ui.js                           jquery-ui-dist@1.*/jquery-ui.min.js
https://code.jquery.com/ui/1.13.2/themes/base/jquery-ui.css              jquery-ui-dist@1.*/jquery-ui.min.css
{CDNJS}/p5.js/1.4.0/p5.js                                                p5@1.*/lib/p5.min.js
{JSDELIVR}/p5@1.9.0/lib/addons/p5.sound.min.js                           p5@1.*/lib/addons/p5.sound.min.js
{CDNJS}/animejs/3.2.1/anime.min.js                                       animejs@3.2.*/lib/anime.min.js
{CDNJS}/matter-js/0.19.0/matter.min.js                                   matter-js@0.*/build/matter.min.js
{CDNJS}/tone/14.8.49/Tone.js                                             tone@14.*/build/Tone.js
{CDNJS}/lodash.js/4.17.21/lodash.min.js                                  lodash@4.*/lodash.min.js
{CDNJS}/moment.js/2.29.4/moment.min.js                                   moment@2.*/min/moment.min.js
{JSDELIVR}/axios/dist/axios.min.js                                       axios@1.*/dist/axios.min.js
{CDNJS}/highlight.js/11.9.0/styles/github-dark.min.css                   @highlightjs/*@11.*/styles/github-dark.min.css
https://cdn.jsdelivr.net/gh/highlightjs/cdn-release@11.9.0/build/highlight.min.js  @highlightjs/*@11.*/highlight.min.js
{CDNJS}/prism/1.29.0/themes/prism-tomorrow.min.css                       prismjs@1.*/themes/prism-tomorrow.min.css
{CDNJS}/prism/1.29.0/components/prism-python.min.js                      prismjs@1.*/components/prism-python.min.js
{JSDELIVR}/katex@0.16.9/dist/katex.min.css                               katex@0.*/dist/katex.min.css
{JSDELIVR}/mathjax@3/es5/tex-mml-chtml.js                                mathjax@3.2.2/es5/tex-mml-chtml.js
{JSDELIVR}/mermaid@10/dist/mermaid.min.js                                mermaid@10.*/dist/mermaid.min.js
https://unpkg.com/leaflet@1.9.4/dist/images/marker-icon.png              leaflet@1.9.4/dist/images/marker-icon.png
{JSDELIVR}/swiper@11/swiper-bundle.min.css                               swiper@11.*/swiper-bundle.min.css
https://unpkg.com/aos@2.3.1/dist/aos.js                                  aos@2.3.4/dist/aos.js
https://unpkg.com/aos@next/dist/aos.css                                  aos@3.0.0-beta.6/dist/aos.css
{CDNJS}/animate.css/4.1.1/animate.min.css                                animate.css@4.1.1/animate.min.css
{JSDELIVR}/phaser@3.60.0/dist/phaser.min.js                              phaser@3.*/dist/phaser.min.js
{CDNJS}/pixi.js/7.2.4/pixi.min.js                                        pixi.js@7.*/dist/pixi.min.js
{CDNJS}/fabric.js/5.3.1/fabric.min.js                                    fabric@5.*/dist/fabric.min.js
https://unpkg.com/lucide@latest                                          lucide@0.*/dist/umd/lucide.min.js
https://unpkg.com/feather-icons                                          feather-icons@4.*/dist/feather.min.js
{CDNJS}/qrcodejs/1.0.0/qrcode.min.js                                     qrcodejs@1.0.0/qrcode.min.js
{CDNJS}/jspdf/2.5.1/jspdf.umd.min.js                                     jspdf@2.5.*/dist/jspdf.umd.min.js
{CDNJS}/html2canvas/1.4.1/html2canvas.min.js                             html2canvas@1.4.1/dist/html2canvas.min.js
{CDNJS}/PapaParse/5.4.1/papaparse.min.js                                 papaparse@5.*/papaparse.min.js
https://cdn.sheetjs.com/xlsx-0.20.1/package/dist/xlsx.full.min.js        xlsx@0.18.5/dist/xlsx.full.min.js
{CDNJS}/Sortable/1.15.0/Sortable.min.js                                  sortablejs@1.*/Sortable.min.js
{CDNJS}/codemirror/5.65.2/mode/javascript/javascript.min.js              codemirror@5.*/mode/javascript/javascript.js
{JSDELIVR}/canvas-confetti@1.6.0/dist/confetti.browser.min.js            canvas-confetti@1.*/dist/confetti.browser*.js
https://cdn.bootcdn.net/ajax/libs/jquery/3.6.0/jquery.min.js             jquery@3.*/dist/jquery.min.js
https://cdn.jsdelivr.net/combine/npm/jquery@3,npm/lodash@4               jquery@3.*/dist/jquery.min.js, lodash@4.*
https://esm.sh/react@19                                                  react@19.*/index.mjs
https://esm.sh/react-dom@18.2.0/client                                   react-dom@18.*/client.mjs
{JSDELIVR}/d3@7/+esm                                                     d3@7.*/index.mjs
https://cdn.skypack.dev/canvas-confetti                                  canvas-confetti@1.*/index.mjs
https://esm.sh/three@0.160.0/examples/jsm/controls/OrbitControls.js three@0.160.0/examples/jsm/controls/OrbitControls.js
https://unpkg.com/preact@10?module                                       preact@10.*/index.mjs
https://fonts.googleapis.com/css2?family=Inter:wght@400;700&display=swap  fonts: Inter
https://fonts.googleapis.com/css?family=Roboto:300,400|Open+Sans         fonts: Roboto, Open Sans
https://fonts.googleapis.com/icon?family=Material+Icons                  fonts: Material Icons
"""


@pytest.fixture(scope="module")
def held() -> Mirror:
    return mirror.load()


class Home:
    """An event loop that outlives the tests, with the pool that they share."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.pool = RenderPool(OPTIONS, browsers=1)
        self.runner.run(self.pool.__aenter__())

    def render(self, html: str, options: RenderOptions | None = None) -> Render:
        return self.runner.run(self.pool.render(html, options))

    def page(self, name: str) -> Render:
        return self.render((PAGES / f"{name}.html").read_text())


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home()
    yield made
    made.runner.run(made.pool.close())
    made.runner.close()


def colours(render: Render) -> dict[tuple[int, int, int], int]:
    """How many pixels have which colour."""
    with Image.open(io.BytesIO(render.screenshots[-1])) as image:
        return {colour: count for count, colour in image.convert("RGB").getcolors(1 << 24)}  # type: ignore


# Which file a URL stands for


def test_the_urls_that_pages_use_stand_for_these_files(held: Mirror) -> None:
    wrong = []
    lines = [line.split(None, 1) for line in URLS.strip().splitlines()]
    for url, wanted in lines:
        found = held.answer(url if url.startswith("https:") else f"https:{url}")
        served = found.served if isinstance(found, Answer) else str(found)
        pattern = wanted.strip().replace("[", "[[]") + ("*" if ", lodash" in wanted else "")
        if not fnmatch.fnmatchcase(served, pattern):
            wrong.append(f"{url}: {served}")
    assert len(lines) > 100 and not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://unpkg.com/react@15/dist/react.min.js", "no vendored version"),
        (f"{JSDELIVR}/bootstrap@2.3.2/css/bootstrap.css", "no vendored version"),
        (f"{JSDELIVR}/highcharts@11/highcharts.js", "not vendored"),
        (f"{CDNJS}/gsap/3.12.2/gsap.min.js", "not vendored"),
        (f"{JSDELIVR}/vue@3/dist/nothing.js", "no such file"),
        (f"{JSDELIVR}/gh/someone/something@1/a.js".replace("/npm/gh", "/gh"), "not of a package"),
        ("https://fonts.googleapis.com/css2?family=Nobody+Has+This", "no vendored font"),
        (f"{JSDELIVR}/react@18/../../../../../../etc/passwd", "not of a package"),
        (f"{JSDELIVR}/react@18/%2e%2e/%2e%2e/index.json", "not of a package"),
        (f"{CDNJS}/react/18.3.1/..%2f..%2f..%2fstamp", "not of a package"),
        ("https://fonts.gstatic.com/npm/react@18.3.1/../../stamp", "no such file"),
        ("https://esm.sh/react@18/es2022/../../x.mjs", "not of a package"),
    ],
)
def test_what_is_not_held_is_refused_and_the_reason_named(held: Mirror, url: str, reason: str) -> None:
    assert held.answer(url) == Refusal(reason)


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/react@18/umd/react.production.min.js",
        "https://unpkg.com.example.com/react@18",
        "https://unpkg.com:8443/react@18",
        "https://unpkg.com@example.com/react@18",
        "file:///etc/passwd",
        "ftp://unpkg.com/react@18",
        "https://[broken/react",
        "https://unpkg.com:99999999/react",
        "https://unpkg.com/react@18/" + "a" * 5000,
    ],
)
def test_other_addresses_are_no_matter_of_the_mirror(held: Mirror, url: str) -> None:
    assert held.answer(url) is None


def test_the_exact_version_comes_first_then_the_nearest_of_its_major() -> None:
    three = ["0.128.0", "0.147.0", "0.160.0", "0.187.1"]
    assert ordered(three, "0.147.0")[0] == "0.147.0"
    assert ordered(three, "r128")[0] == "0.128.0"
    assert ordered(three, "0.132.2")[0] == "0.128.0" and ordered(three, "0.158.0")[0] == "0.160.0"
    assert ordered(three, "")[0] == ordered(three, "latest")[0] == "0.187.1"
    some = ["1.2.3", "1.9.0", "2.0.0", "3.0.0-beta.6"]
    assert ordered(some, "1.2.4")[0] == "1.2.3" and ordered(some, "1.8.0")[0] == "1.9.0"
    assert ordered(some, "1")[0] == ordered(some, "^1.2.0")[0] == ordered(some, "1.x")[0] == "1.9.0"
    assert ordered(some, "~1.2.0")[0] == ordered(some, "1.2")[0] == "1.2.3"
    assert ordered(some, "")[0] == "2.0.0" and ordered(some, "next")[0] == "3.0.0-beta.6"
    assert ordered(some, "4.0.0") == [] and ordered(some, "^1 || ^2")[0] == "2.0.0"


def test_integrity_is_lifted_only_where_another_version_is_served(held: Mirror) -> None:
    tag = '<script src="https://unpkg.com/leaflet@{}/dist/leaflet.js" integrity="sha256-x" crossorigin></script>'
    exact, other = tag.format("1.9.4"), tag.format("1.7.1")
    assert held.relaxed(exact) == exact
    assert held.relaxed(other) == other.replace(" integrity", " data-integrity")
    foreign = '<link href="https://example.com/a.css" integrity="sha256-x">'
    assert held.relaxed(foreign) == foreign


def test_setup_without_a_registry_names_the_way_around_it(tmp_path: Path) -> None:
    """With a Python whose environment is a folder of this test and an npm that reaches nothing."""
    for name, does in (("python", f"echo {tmp_path}"), ("node", "exit 0"), ("npm", '[ "$1" = --version ]')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)

    def make(choice: str) -> tuple[int, str, str]:
        environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "MIRROR": choice}
        command = [str(ROOT / "envs/mirror.sh"), str(tmp_path / "python")]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    code, _, said = make("yes")
    assert code == 2 and said.count("\n") == 1
    assert "make setup MIRROR=no" in said and "render.mirror: false" in said
    code, said, _ = make("no")
    assert code == 0 and said.count("\n") == 1 and "without the mirror" in said
    assert make("maybe")[0] == 2
    assert not (tmp_path / "share/artifactscoder/mirror").exists()


def test_the_demo_runs_without_the_mirror_if_the_setup_left_it_out() -> None:
    for choice, said in (("no", "-- --config 'render={mirror: false}'"), ("yes", "")):
        # Make tells a make below it so, which then says where it is.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        command = ["make", "-n", "demo", f"MIRROR={choice}"]
        planned = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        assert planned.stdout.splitlines()[-1].rstrip() == f"artifactscoder demo {said}".rstrip()


def test_a_missing_or_stale_mirror_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "FOLDER", tmp_path)
    with pytest.raises(UserError, match=r"no mirror of front-end libraries in .*: run make setup"):
        asyncio.run(RenderPool(OPTIONS, browsers=1).__aenter__())
    (tmp_path / "stamp").write_text("older")
    (tmp_path / "index.json").write_text('{"packages": {}, "fonts": {}}')
    with pytest.raises(UserError, match=r"is not the one of envs/mirror: run make setup"):
        asyncio.run(RenderPool(OPTIONS, browsers=1).__aenter__())


# What pages show with it


def test_react_with_jsx_counts(home: Home) -> None:
    seen = home.page("react").verdict
    assert seen.visible_text == "Count 42 Add" and seen.script_errors == seen.requests_refused == []
    assert seen.requests_mirrored_count == 3
    assert seen.requests_mirrored[-1].startswith("https://unpkg.com/react@18/umd/react.production.min.js -> react@18.")


def test_modules_that_stand_alone_share_one_react(home: Home) -> None:
    seen = home.page("modules")
    assert seen.verdict.visible_text.startswith("React 19 moved x y 0 2 4 6 8")
    assert seen.verdict.svgs == 2 and seen.verdict.script_errors == []
    assert colours(seen)[(0x33, 0x66, 0xCC)] > 4000


def test_vue_d3_jquery_and_workers_are_served(home: Home) -> None:
    seen = home.page("classic")
    assert seen.verdict.visible_text == "Vue 3 one two jQuery 3 Tab A Tab B AAA worker 4 frame 4"
    assert seen.verdict.script_errors == seen.verdict.requests_refused == []
    assert colours(seen)[(70, 130, 180)] > 8000  # the bars of D3, in steelblue


def test_charts_and_sketches_are_drawn(home: Home) -> None:
    seen = home.page("charts")
    drawn = colours(seen)
    assert drawn[(255, 0, 102)] > 3000 and drawn[(0, 119, 51)] > 3000 and drawn[(255, 100, 50)] > 3000
    assert seen.verdict.script_errors == []


def test_tailwind_web_fonts_and_icons_show(home: Home) -> None:
    seen = home.page("styles")
    assert seen.verdict.visible_text.endswith("true true true true true true")
    assert colours(seen)[(255, 0, 102)] > 5000 and seen.verdict.script_errors == []
    assert seen.verdict.requests_refused == []


def test_bootstrap_shows_though_its_integrity_is_of_another_release(home: Home) -> None:
    seen = home.page("bootstrap")
    assert colours(seen)[(13, 110, 253)] > 10_000 and "Bootstrap 5" in seen.verdict.visible_text
    assert seen.verdict.console_errors == []


def test_a_scene_of_three_is_drawn(home: Home) -> None:
    seen = home.page("three")
    assert seen.verdict.reason == "ok" and seen.verdict.script_errors == []
    assert sum(count for (r, g, b), count in colours(seen).items() if r > 100 > b) > 10_000


def test_what_the_mirror_lacks_is_refused_and_reported(home: Home) -> None:
    page = "<h1>Hello</h1>" + "".join(
        f'<script src="{url}"></script>'
        for url in (f"{CDNJS}/gsap/3.12.2/gsap.min.js", "https://unpkg.com/react@15/x.js", "https://example.com/a.js")
    )
    seen = home.render(page).verdict
    assert seen.requests_refused_count == 3 and seen.requests_mirrored_count == 0
    assert seen.requests_refused == [
        f"{CDNJS}/gsap/3.12.2/gsap.min.js (not vendored)",
        "https://example.com/a.js",
        "https://unpkg.com/react@15/x.js (no vendored version)",
    ]


def test_without_the_mirror_everything_is_refused(home: Home) -> None:
    page = '<h1>Hello</h1><script src="https://unpkg.com/vue@3"></script>'
    seen = home.render(page, RenderOptions(mirror=False)).verdict
    assert (seen.requests_mirrored_count, seen.requests_refused) == (0, ["https://unpkg.com/vue@3"])


@pytest.mark.slow
def test_a_page_that_asks_for_ever_is_refused_in_the_end(home: Home) -> None:
    page = f"<h1>Hello</h1><script>setInterval(() => fetch('{JSDELIVR}/vue@3/dist/vue.global.js?' + Math.random()))"
    seen = home.render(page + "</script>").verdict
    assert seen.requests_mirrored_count <= 500 and seen.reason == "ok"


@pytest.mark.slow
def test_the_same_pixels_from_two_pools_ten_times() -> None:
    pages = sorted(PAGES.glob("*.html"))

    async def look() -> dict[str, set[str]]:
        seen: dict[str, set[str]] = {}
        for _ in range(2):
            async with RenderPool(OPTIONS, browsers=1) as pool:
                for path in pages:
                    for _ in range(5):
                        render = await pool.render(path.read_text())
                        sums = seen.setdefault(path.stem, set())
                        sums.add(hashlib.sha256(b"".join(render.screenshots)).hexdigest())
        return seen

    restless = {name for name, sums in asyncio.run(look()).items() if len(sums) > 1}
    assert not restless
