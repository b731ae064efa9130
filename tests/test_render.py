"""Claims about the renderer, checked on a real Chromium, real services and pages that mean harm."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import io
import json
import os
import signal
import subprocess
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops

from artifactscoder.errors import UserError
from artifactscoder.render import (
    Render,
    RenderOptions,
    RenderPool,
    RenderUnavailable,
    Verdict,
    chromium,
)
from artifactscoder.render import pool as pool_module
from artifactscoder.render.tab import Shot, Tab
from render_replica import gone, marked

HOSTILE = Path(__file__).parent / "hostile"
WORKFLOW = Path(chromium.__file__).parents[2]
SIZE = {"width": 800, "height": 600}
# Ordinary pages get time enough for a busy machine, those that hang are not waited for longer than needed.
ORDINARY = RenderOptions(**SIZE, timeout_s=15)
HASTY = RenderOptions(**SIZE, timeout_s=2.5)

GOOD = """<!DOCTYPE html><html><head><title>Counter</title><style>body { background: #eef; font-family: sans-serif }
</style></head><body><h1>Counter</h1><p id="out">nothing</p><p hidden>not seen</p><p style="opacity:0">nor this</p>
<button onclick="n()">Add</button><input placeholder="name"><input type="submit"><select><option>a</select>
<a href="#x">link</a><canvas id="c" width="200" height="100"></canvas><svg width="40" height="40"><circle r="20"/></svg>
<img src="https://images.example.com/a.png" alt="">
<img src="data:image/svg+xml,<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>" alt="">
<script>out.textContent = "ready " + navigator.hardwareConcurrency; const d = c.getContext("2d");
d.fillStyle = "teal"; d.fillRect(10, 10, 150, 60); localStorage.setItem("a", "b"); if (!isSecureContext) throw 1;
console.error("a complaint", 7)</script></body></html>"""

RESTLESS = """<!DOCTYPE html><style>@keyframes m { to { transform: translateX(400px) } }
#box { width: 80px; height: 80px; background: crimson; animation: m 7s infinite }</style><div id="box"></div>
<canvas id="c" width="600" height="200"></canvas><pre id="out"></pre><script>
const d = c.getContext("2d"); let frames = 0;
(function draw(t) { frames++; d.fillStyle = `hsl(${Math.random() * 360},80%,50%)`;
  d.fillRect(Math.random() * 600, Math.random() * 200, 9, 9); requestAnimationFrame(draw); })();
setInterval(() => out.textContent = [new Date().toISOString(), frames, crypto.randomUUID()].join("\\n"), 100);
</script>"""

LATE = """<!DOCTYPE html><style>.fade { opacity: 0; transition: opacity .6s } .fade.on { opacity: 1 }
@keyframes in { from { opacity: 0 } } #rise { animation: in 1s both }</style>
<div id="splash">Loading</div><h1 id="rise">Risen</h1><p class="fade" id="seen">Observed</p>
<p class="fade" id="end">Chained</p>
<script>setTimeout(() => splash.remove(), 1500);
new IntersectionObserver(list => list.forEach(e => e.isIntersecting && e.target.classList.add("on"))).observe(seen);
seen.ontransitionend = () => end.classList.add("on");
const t = Date.now(); while (Date.now() - t < 300);</script>"""


class Home:
    """An event loop that outlives the tests, with the pool that most of them share."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.pool = RenderPool(ORDINARY, browsers=2)
        self.do(self.pool.__aenter__())

    def do(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.runner.run(work)

    def render(self, html: str, options: RenderOptions | None = None) -> Render:
        return self.do(self.pool.render(html, options))

    def see(self, html: str) -> Verdict:
        return self.render(html).verdict


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home()
    yield made
    made.do(made.pool.close())
    made.runner.close()


class Canary:
    """A server that notes every request that reaches it."""

    def __init__(self) -> None:
        heard: list[str] = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def handle(self) -> None:
                heard.append(self.client_address[0])
                with contextlib.suppress(OSError):
                    super().handle()

            def log_message(self, *args: object) -> None:
                pass

        self.heard = heard
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture(scope="module")
def canary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canary]:
    made = Canary()
    yield made
    made.server.shutdown()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("secret") / "secret.html"
    path.write_text('<body style="background:#ff0000">TOPSECRET')
    return path


def hostile(name: str, canary: Canary, secret: Path) -> str:
    text = (HOSTILE / f"{name}.html").read_text()
    return text.replace("{{CANARY}}", canary.url).replace("{{FILE}}", secret.as_uri())


def red_pixels(picture: bytes) -> int:
    with Image.open(io.BytesIO(picture)) as image:
        return sum(r > 200 and g < 50 and b < 50 for r, g, b in image.convert("RGB").get_flattened_data())


def most_apart(one: bytes, other: bytes) -> int:
    """The largest difference of two pictures anywhere, in levels of 255 a channel."""
    with Image.open(io.BytesIO(one)) as first, Image.open(io.BytesIO(other)) as second:
        difference = ImageChops.difference(first.convert("RGB"), second.convert("RGB"))
    return max(high for _, high in difference.getextrema())


# What is seen of a page


def test_a_good_page_is_described_as_it_is(home: Home) -> None:
    render = home.render(GOOD)
    v = render.verdict
    assert (v.rendered, v.reason, v.script_errors) == (True, "ok", [])
    assert (v.buttons, v.inputs, v.links, v.canvases, v.svgs) == (2, 2, 1, 1, 1)
    assert (v.images, v.broken_images) == (2, 1)
    assert v.visible_text == "Counter ready 4 Add link"
    assert v.text_chars == len("Counter") + len("ready 4") + len("Add") + len("link")
    assert 10 <= v.visible_elements < v.elements
    assert v.requests_refused == ["https://images.example.com/a.png"] and v.requests_refused_count == 1
    assert v.console_errors == ["a complaint 7"]
    assert v.colours > 10 and v.dominant_share < 0.99 and v.edges < 0.3 and v.budget_expired
    assert (v.width, v.height) == (800, 600)
    with Image.open(io.BytesIO(render.screenshots[0])) as image:
        assert (image.format, image.size) == ("JPEG", (800, 600))


def test_a_page_without_content_is_not_rendered(home: Home) -> None:
    assert home.see("").reason == "no_content"
    failed = home.see("<div id=root></div><script>ReactDOM.render(1)</script>")
    assert failed.reason == "no_content" and not failed.rendered
    assert failed.script_errors == ["ReferenceError: ReactDOM is not defined"]
    assert home.see("<h1>Hello</h1>").reason == "ok"


def test_a_page_that_hides_its_content_is_blank(home: Home, canary: Canary, secret: Path) -> None:
    v = home.see(hostile("covered", canary, secret))
    assert v.reason == "blank" and not v.rendered
    assert any("missing" in error for error in v.script_errors)
    assert home.see('<p style="color:#fff">white on white</p>').reason == "blank"


def test_few_colours_are_not_blank_by_themselves(home: Home) -> None:
    flag = "<body style='margin:0'><div style='height:300px;background:red'></div>"
    assert home.see(flag).reason == "ok"
    snake = "<canvas id=c width=300 height=200></canvas><script>c.getContext('2d').fillRect(90,90,10,10)</script>"
    assert home.see(snake).reason == "ok"


def test_noise_is_not_a_page(home: Home, canary: Canary, secret: Path) -> None:
    assert home.see(hostile("noise", canary, secret)).reason == "noise"


def test_uncaught_errors_are_seen_even_if_hidden_and_caught_ones_are_not(home: Home) -> None:
    v = home.see(
        "<p>text</p><script>onerror = () => true; setTimeout(() => { hidden() }); try { caught() } catch (e) {}"
        "Promise.reject(new Error('rejected')); (async () => { throw new Error('handled') })().catch(() => 0);"
        "</script><script>syntax error</script>"
        "<script>addEventListener('error', e => e.preventDefault());"
        "requestAnimationFrame(() => { inFrame() })</script>"
        "<script>new Worker(URL.createObjectURL(new Blob(['inWorker()'])))</script>"
    )
    errors = " | ".join(v.script_errors)
    for word in ("hidden", "rejected", "SyntaxError", "inFrame", "inWorker"):
        assert word in errors
    assert "caught" not in errors and "handled" not in errors
    assert v.rendered


def test_content_that_comes_late_or_fades_in_is_seen(home: Home) -> None:
    assert home.see(LATE).visible_text == "Risen Observed Chained"


def test_the_dom_cannot_be_shadowed(home: Home) -> None:
    v = home.see(
        "<h1>Still read</h1><form name=body><input name=checkVisibility></form><img name=createRange>"
        "<img name=documentElement><script>Element.prototype.checkVisibility = () => false;"
        "Range.prototype.getBoundingClientRect = null; Math.max = null</script>"
    )
    assert v.visible_text == "Still read" and v.inputs == 1


def test_the_same_page_gives_the_same_pixels(home: Home) -> None:
    options = RenderOptions(**SIZE, timeout_s=15, screenshots=2, image="png")

    async def four() -> list[Render]:
        return await asyncio.gather(*(home.pool.render(RESTLESS, options) for _ in range(4)))

    renders = home.do(four())
    assert all(render.verdict.budget_expired for render in renders)
    for other in renders[1:]:
        # The edge of what moves is now and then blended a hundredth of a pixel apart on a busy machine.
        for ours, theirs in zip(other.screenshots, renders[0].screenshots, strict=True):
            assert most_apart(ours, theirs) <= 4
        assert other.verdict.evidence() == renders[0].verdict.evidence()
    assert renders[0].screenshots[0] != renders[0].screenshots[1]
    shown = renders[0].verdict.visible_text.split()
    assert shown[0].startswith("2025-01-15T12:00:0") and 145 < int(shown[1]) < 156


def test_a_whole_page_is_photographed_up_to_a_height(home: Home) -> None:
    html = "<body style='margin:0'><div style='height:100vh;background:teal'></div><div style='height:9000px'>low</div>"
    options = RenderOptions(**SIZE, timeout_s=15, full_page=True, max_height=2000, image="png")
    render = home.render(html, options)
    assert render.verdict.height == 9600
    with Image.open(io.BytesIO(render.screenshots[0])) as image:
        assert image.size == (800, 2000)
        assert image.convert("RGB").getpixel((400, 599)) != image.convert("RGB").getpixel((400, 700))


def test_options_and_answers_survive_json(home: Home) -> None:
    render = home.render(GOOD)
    again = Render.from_dict(json.loads(json.dumps(render.to_dict())))
    assert again == render
    assert RenderOptions.from_dict(json.loads(json.dumps(HASTY.to_dict()))) == HASTY
    assert not {"seconds", "budget_expired"} & set(render.verdict.evidence())
    for bad in (
        {"width": 0},
        {"width": "800"},
        {"image": "gif"},
        {"wdith": 800},
        {"timeout_s": float("nan")},
    ):
        with pytest.raises(UserError):
            RenderOptions.from_dict(bad)


# Pages that mean harm

LIMITED = {"endless_loop": "timeout", "late_loop": "timeout"}
COUNTED = {
    "alert_storm": "dialogs",
    "popups": "popups",
    "downloads": "downloads",
    "reload_loop": "navigations",
    "network": "requests_refused_count",
}
OTHERS = ["file_frames", "allocation_bomb", "beforeunload", "worker_spin", "floods"]


@pytest.mark.parametrize("name", [*LIMITED, *COUNTED, *OTHERS])
def test_a_hostile_page_is_answered_in_time_and_does_not_stop_the_next(
    home: Home, canary: Canary, secret: Path, name: str
) -> None:
    options = ORDINARY if name in COUNTED else HASTY
    render = home.render(hostile(name, canary, secret), options)
    v = render.verdict
    # Twice the limit at most, for a second try, and the time to end the page and to start a browser, on a busy machine.
    assert v.seconds < 2 * options.timeout_s + 15
    if name in LIMITED:
        assert (v.reason, v.rendered, render.screenshots) == (LIMITED[name], False, [])
    if name in COUNTED:
        assert getattr(v, COUNTED[name]) >= 1
        assert v.rendered
    assert "TOPSECRET" not in v.visible_text
    assert all(red_pixels(picture) == 0 for picture in render.screenshots)
    assert home.see(GOOD).rendered
    assert canary.heard == []


def test_without_protection_the_same_pages_reach_the_network_and_files(secret: Path, tmp_path: Path) -> None:
    unprotected = Canary()
    page = tmp_path / "page.html"
    page.write_text(hostile("network", unprotected, secret) + hostile("file_frames", unprotected, secret))
    picture = tmp_path / "picture.png"
    flags = [
        "--headless",
        "--no-sandbox",
        "--virtual-time-budget=2000",
        f"--user-data-dir={tmp_path / 'profile'}",
    ]
    command = [
        str(chromium.find()),
        *flags,
        f"--screenshot={picture}",
        "--window-size=800,600",
        page.as_uri(),
    ]
    subprocess.run(command, capture_output=True, timeout=30, check=True)
    unprotected.server.shutdown()
    assert unprotected.heard
    assert red_pixels(picture.read_bytes()) > 100


def test_memory_taken_across_processes_ends_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of all processes together is below what an idle browser holds: any page that lasts exceeds it."""
    watch = pool_module._Watch
    monkeypatch.setattr(pool_module, "_Watch", lambda browser, limit_mb: watch(browser, 50))

    async def heavy() -> tuple[Render, Render, list[str]]:
        async with RenderPool(RenderOptions(**SIZE, timeout_s=20), browsers=1) as pool:
            marker = pool._places[0].browser.marker
            crashed = await pool.render("<script>while (true) {}</script>")
            return crashed, await pool.render(GOOD), marked(marker)

    crashed, after, left = asyncio.run(heavy())
    assert crashed.verdict.reason == "crashed" and crashed.verdict.seconds < 15
    assert after.verdict.rendered and left == []


# Browsers that die


def test_a_browser_killed_in_mid_page_costs_only_time(home: Home) -> None:
    async def kill_once(page: str) -> Render:
        rendering = asyncio.ensure_future(home.pool.render(page))
        await asyncio.sleep(0.3)
        for place in home.pool._places:
            for number in place.browser.processes()[1:3]:
                os.kill(number, signal.SIGKILL)
        return await rendering

    slow = GOOD + "<script>let n = 0; for (let i = 0; i < 2e8; i++) n += i % 7</script>"
    render = home.do(kill_once(slow))
    assert render.verdict.rendered
    assert home.see(GOOD).rendered


def test_a_page_that_kills_every_browser_has_crashed(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    look = Tab.look

    async def doomed(tab: Tab, *page: Any) -> list[Shot]:
        asyncio.get_running_loop().call_later(0.2, os.killpg, tab.browser.process.pid, signal.SIGKILL)
        return await look(tab, *page)

    with monkeypatch.context() as patch:
        patch.setattr(Tab, "look", doomed)
        assert home.do(home.pool.render("<script>while (true) {}</script>")).verdict.reason == "crashed"
    assert home.see(GOOD).rendered


def test_browsers_are_replaced_after_their_share_of_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "PAGES_PER_BROWSER", 2)

    async def three() -> tuple[set[str], list[bool]]:
        markers, rendered = set(), []
        async with RenderPool(ORDINARY, browsers=1) as pool:
            for _ in range(3):
                rendered.append((await pool.render(GOOD)).verdict.rendered)
                markers.add(pool._places[0].browser.marker)
        return markers, rendered

    markers, rendered = asyncio.run(three())
    assert len(markers) == 2 and all(rendered)
    assert all(gone(marker) for marker in markers)


def test_what_is_wrong_with_the_machinery_is_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(executable: Path | None) -> None:
        async with RenderPool(ORDINARY, browsers=1, executable=executable):
            pass

    with pytest.raises(RenderUnavailable):
        asyncio.run(start(Path("/bin/false")))
    monkeypatch.setenv("CHROMIUM", "/no/such/browser")
    with pytest.raises(UserError, match="/no/such/browser"):
        asyncio.run(start(None))
    with pytest.raises(RenderUnavailable):
        asyncio.run(RenderPool(ORDINARY).render(GOOD))
