"""Claims about what a visitor does on a page, about pictures, and about the same page giving the same pixels."""

from __future__ import annotations

import asyncio
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from artifactscoder.errors import UserError
from artifactscoder.journal import Journal
from artifactscoder.render import RecordedPool, Render, RenderOptions, RenderPool, Verdict
from artifactscoder.render import pool as pool_module
from artifactscoder.render.page import Action
from checkout import ROOT

SIZE = {"width": 800, "height": 600, "timeout_s": 30}

WORKSHOP = """<!DOCTYPE html><style>body{margin:0}#b{position:absolute;left:100px;top:20px}#b:hover{background:gold}
#b.on{width:500px;height:200px;background:red}.at{position:absolute}</style>
<button id=b onclick="b.classList.add('on'); say('clicked ' + event.isTrusted)" ondblclick="say('twice')">Press me
</button>
<button class=at style="left:620px;top:0" onclick="oops()">Fail</button>
<input id=i class=at style="left:100px;top:260px"><pre id=o class=at style="left:0;top:450px"></pre>
<div id=d class=at style="width:60px;height:60px;background:teal;left:300px;top:330px"></div>
<div id=s class=at draggable=true style="left:20px;top:400px;width:80px;height:40px;background:plum">card</div>
<div id=t class=at style="left:500px;top:400px;width:200px;height:100px;background:#eee">tray</div>
<button class=at style="left:0;top:300px">Under</button>
<div id=veil class=at style="left:0;top:290px;width:90px;height:50px;background:#ccc"></div>
<button class=at style="left:700px;top:0" onclick="while (true);">Hang</button>
<button class=at style="top:3000px" onclick="say('low')">Far below</button>
<script>const said = []; const say = word => { said.push(word); o.textContent = said.join(' ') };
let held = false; d.onpointerdown = () => held = true; onpointerup = () => held = false;
onpointermove = e => { if (held) { d.style.left = e.clientX - 30 + 'px'; d.style.top = e.clientY - 30 + 'px' } };
s.ondragstart = e => e.dataTransfer.setData('text/plain', 'card'); t.ondragover = e => e.preventDefault();
t.ondrop = e => { e.preventDefault(); t.append(s); say('dropped') };
i.onkeydown = e => say('[' + e.key + ']'); addEventListener('wheel', () => say('wheel'));
onkeydown = e => { if (e.ctrlKey && e.key === 's') { e.preventDefault(); say('saved ' + i.value) } }</script>"""


class Home:
    """An event loop and a pool with one browser, shared by the tests of this file."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.pool = RenderPool(RenderOptions(**SIZE), browsers=1)
        self.runner.run(self.pool.__aenter__())

    def render(self, html: str, **options: Any) -> Render:
        return self.runner.run(self.pool.render(html, RenderOptions(**SIZE | options)))

    def act(self, html: str, *actions: dict[str, Any], **options: Any) -> Render:
        return self.render(html, actions=actions, first_ms=300, interval_ms=200, **options)


@pytest.fixture(scope="module")
def home() -> Iterator[Home]:
    made = Home()
    yield made
    made.runner.run(made.pool.close())
    made.runner.close()


def outcomes(verdict: Verdict) -> list[str]:
    """Of each action nothing if it was done, else why not."""
    return [action["why"] for action in verdict.actions]


def test_a_visitor_clicks_types_drags_and_scrolls_with_real_input(home: Home) -> None:
    actions: list[dict[str, Any]] = [
        {"do": "hover", "target": "#b"},
        {"do": "click", "target": "Press me"},
        {"do": "double_click", "target": "#b"},
        {"do": "type", "target": "#i", "text": "Hi é"},
        {"do": "key", "key": "Backspace", "times": 2},
        {"do": "key", "key": "Control+s"},
        {"do": "drag", "target": "#d", "to": [600, 350]},
        {"do": "drag", "target": "card", "to": "tray"},
        {"do": "scroll", "dy": 700},
        {"do": "click", "target": "Far below"},
    ]
    tell = "<script>addEventListener('click', () => console.error(o.textContent))</script>"
    render = home.act(WORKSHOP + tell, *actions)
    v = render.verdict
    assert outcomes(v) == [""] * len(actions) and v.script_errors == []
    assert len(render.screenshots) == 1 + len(actions)
    said = v.console_errors[-1]
    for word in ("clicked true", "twice", "[H]", "[Backspace]", "saved Hi", "dropped", "wheel", "low"):
        assert word in said
    assert all(action["changed"] > 0 for action in v.actions)
    assert v.actions[1]["changed"] > 0.15 and v.actions[0]["changed"] < 0.02
    assert home.act(WORKSHOP + tell, *actions).screenshots == render.screenshots


def test_what_is_dragged_a_short_way_enters_the_place_where_it_is_dropped(home: Home) -> None:
    """A drag begins after some pixels, which the first of its steps may not reach."""
    page = """<body style="margin:0"><div id=c draggable=true style="width:50px;height:50px;background:red"></div>
    <div id=t style="width:200px;height:100px;background:#eee"></div><script>
    t.ondragenter = t.ondragover = (event) => event.preventDefault();
    c.ondragstart = (event) => event.dataTransfer.setData('text', 'it');
    t.ondrop = (event) => console.error('dropped ' + event.dataTransfer.getData('text'));</script>"""
    verdict = home.act(page, {"do": "drag", "target": [25, 40], "to": [25, 58]}).verdict
    assert outcomes(verdict) == [""] and verdict.console_errors == ["dropped it"]


OFFERS = """<!DOCTYPE html><body><h1>Desk</h1><input id=who placeholder=Name><button id=go>Go</button>
<button disabled>Not now</button><button style="display:none">Hidden</button><a href="https://example.org">Away</a>
<div style="cursor:pointer" onclick="console.error('div')">A box</div><input type=range id=r max=100 value=10>
<select id=s><option>one<option>two</select><canvas id=c width=200 height=80></canvas><p id=out>-</p><script>
const say = (text) => { out.textContent += ' ' + text; console.error(out.textContent); };
go.addEventListener('click', () => say('went ' + who.value)); r.oninput = () => say('slid ' + (r.value > 50));
who.addEventListener('input', () => 0); s.onchange = () => say('chose ' + s.value);
addEventListener('keydown', (event) => { if (event.key.length > 1) say('key ' + event.key); });
c.addEventListener('pointerdown', () => say('canvas')); c.addEventListener('pointermove', () => 0);
</script></body>"""


def test_what_a_page_offers_is_found_and_done_each_kind_in_turn(home: Home) -> None:
    explore = {"do": "explore", "times": 8}
    render = home.act(OFFERS, explore)
    done = [(action["do"], action["target"]) for action in render.verdict.actions]
    assert done[:5] == [("type", "#who"), ("click", "#go"), ("key", ""), ("drag", "#r"), ("key", "#s")]
    assert ("click", "A box") in done and not {"Not now", "Hidden", "Away"} & {str(target) for _, target in done}
    assert outcomes(render.verdict) == [""] * 8 and len(render.screenshots) == 1 + 8
    said = render.verdict.console_errors[-1]
    for word in ("went Sample", "key ArrowRight", "slid true", "chose two", "canvas"):
        assert word in said
    assert home.act(OFFERS, explore).screenshots == render.screenshots, "the same page is used in the same way"
    few = home.act(OFFERS, {"do": "explore", "times": 2}, {"do": "click", "target": "#missing"}).verdict
    assert [action["do"] for action in few.actions] == ["type", "click", "click"]
    assert outcomes(few) == ["", "", "no such element"]
    bare = home.act("<p>Nothing to do here but to read.</p>", explore)
    assert bare.verdict.rendered and bare.verdict.actions == [] and len(bare.screenshots) == 1


def test_a_page_cannot_hide_from_exploring_what_it_listens_for_nor_run_in_its_world(home: Home) -> None:
    trick = """<body><button id=b>Press</button><p>some text to be seen</p><script>
      document.querySelectorAll = () => { console.error('mine'); return []; };
      Element.prototype.checkVisibility = () => false; EventTarget.prototype.addEventListener = new Proxy(
        EventTarget.prototype.addEventListener, {apply: (f, self, given) => Reflect.apply(f, self, given)});
      addEventListener('keydown', () => console.error('heard'));
      b.onclick = () => { for (;;) ; };</script></body>"""
    verdict = home.act(trick, {"do": "explore", "times": 3}, timeout_s=3).verdict
    assert verdict.rendered and "mine" not in verdict.console_errors
    assert verdict.actions[0]["target"] == "#b" and "in time" in verdict.actions[0]["why"], "a click that hangs is said"


def test_an_action_that_cannot_be_done_says_why_and_the_next_is_tried(home: Home) -> None:
    v = home.act(
        WORKSHOP,
        {"do": "click", "target": "#missing"},
        {"do": "click", "target": "Under"},
        {"do": "click", "target": [900, 10]},
        {"do": "scroll", "dx": -10},
        {"do": "click", "target": "Fail"},
    ).verdict
    assert outcomes(v) == ["no such element", "covered by <div#veil>", "outside the viewport", "nothing scrolls", ""]
    assert [action["done"] for action in v.actions] == [False, False, False, False, True]
    assert v.rendered and v.script_errors == ["ReferenceError: oops is not defined"]


def test_an_action_that_hangs_the_page_is_named_and_the_page_counts_as_seen(home: Home) -> None:
    render = home.act(WORKSHOP, {"do": "click", "target": "Hang"}, {"do": "wait", "ms": 10}, timeout_s=3)
    assert render.verdict.rendered and len(render.screenshots) == 1
    assert outcomes(render.verdict) == ["the page did not answer in time", "an action before it hung"]
    assert home.render("<h1>next</h1>").verdict.rendered


def test_a_page_that_one_action_covers_was_rendered_all_the_same(home: Home) -> None:
    page = "<h1>Start</h1><button onclick='document.body.textContent=\"\"'>Clear</button>"
    v = home.act(page, {"do": "click", "target": "Clear"}).verdict
    assert v.rendered and v.actions[0]["changed"] > 0 and "Start" in v.visible_text


# What a script makes of an emoji when it takes it for two letters, in every text of a page that a verdict holds.
HALVES = """<h1>Halves</h1><div id=row></div><p role=p>Text</p><p>Text</p><script>
const [a, b, c, d] = "🎮🎲".split(""); const [first, last] = document.querySelectorAll("p");
for (const half of [a, b, d]) { const made = document.createElement("button"); made.append("Go " + half);
  row.append(made); }
first.setAttribute("role", "t" + a); last.setAttribute("role", "t" + d); last.append(a);
new Image().src = "https://images.example.com/" + a; console.error("said " + b);
setTimeout(() => { throw "fell " + a });
</script>"""


async def test_a_page_of_half_emojis_is_used_by_its_own_texts_and_its_verdict_can_be_written_down(
    tmp_path: Path,
) -> None:
    options = RenderOptions(**SIZE, first_ms=300, interval_ms=200, actions=(Action("explore", times=3),))
    async with RenderPool(options, browsers=1) as pool, Journal(tmp_path / "journal") as journal:
        render = await RecordedPool(pool, journal).render(HALVES)
        again = await RecordedPool(pool, journal).render(HALVES)
    assert again.verdict == render.verdict, "it is on record"
    json.dumps(render.verdict.to_dict(), ensure_ascii=False).encode()
    v = render.verdict
    assert outcomes(v) == [""] * 3, "what is clicked is found by the page's text, not by the one written down"
    assert [action["target"] for action in v.actions] == ["Go ?"] * 3
    assert v.seen["role=t?"] == 2, "two roles of one name are counted together"
    assert v.console_errors == ["said ?"] and v.script_errors == ["fell ?"] and v.visible_text.endswith("Text ?")


BAD = {
    "jump": "use one of click",
    "click": "needs target",
    "type": "needs target",
    "key": "needs key",
    "drag": "needs target",
    "scroll": "needs dx or dy",
}


def test_a_malformed_action_is_one_sentence() -> None:
    for do, said in BAD.items():
        with pytest.raises(UserError, match=said):
            RenderOptions(actions=[{"do": do}])
    for wrong, said in (
        ("click", "use an object"),
        ({"target": "x"}, "use an object"),
        ({"do": "click", "target": "x", "tmies": 2}, "Unknown entry tmies"),
        ({"do": "click", "target": [1, "2"]}, "CSS selector"),
        ({"do": "key", "key": "Hyper+x"}, "no key"),
        ({"do": "key", "key": "a", "times": 0}, "times"),
    ):
        with pytest.raises(UserError, match=said) as caught:
            RenderOptions.from_dict({"actions": [wrong]})
        assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="full_page"):
        RenderOptions(actions=[{"do": "wait"}], full_page=True)


def test_actions_survive_json() -> None:
    options = RenderOptions(actions=(Action("click", target=(3, 4)), Action("key", key="Control+Shift+z", times=2)))
    assert RenderOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize("image", ["jpeg", "png", "webp"])
@pytest.mark.parametrize("full_page", [False, True])
def test_pictures_come_in_three_formats(home: Home, image: str, full_page: bool) -> None:
    page = "<body style='margin:0;background:#336699'><div style='height:900px'>tall</div>"
    render = home.render(page, image=image, full_page=full_page)
    with Image.open(io.BytesIO(render.screenshots[0])) as picture:
        assert picture.format == image.upper()
        assert picture.size == (800, 900 if full_page else 600)
        red, green, blue = picture.convert("RGB").getpixel((400, 300))
    assert abs(red - 0x33) < 4 and abs(green - 0x66) < 4 and abs(blue - 0x99) < 4
    assert render.verdict.rendered


def test_what_comes_by_chance_elsewhere_comes_the_same_here(home: Home) -> None:
    """Time stamps that the browser blurs, the lots of workers, and frames at half a millisecond."""
    page = """<pre id=o></pre><b id=b>x</b>
<style>@keyframes m{to{left:9px}}#b{position:relative;animation:m .4s 4}</style>
<script>const said=[];const say=x=>{said.push(x);o.textContent=said.join('\\n')};onload=e=>say(e.timeStamp);
b.onanimationiteration=e=>say('at '+e.timeStamp);new ResizeObserver(()=>say(performance.now())).observe(o);
const w=new Worker(URL.createObjectURL(new Blob(['postMessage([Math.random(),crypto.randomUUID()])'])));
w.onmessage=e=>say(e.data);setTimeout(()=>say(performance.getEntriesByType('navigation')[0].loadEventEnd),500)</script>"""
    texts = {home.render(page).verdict.visible_text for _ in range(4)}
    assert len(texts) == 1, texts
    assert "0." in texts.pop()


def test_the_spare_tab_knows_nothing_of_the_page_before(home: Home) -> None:
    page = """<pre id=o></pre><input autofocus id=i><script>localStorage.n = (+localStorage.n || 0) + 1;
document.cookie = 'n=' + localStorage.n; name += 'x'; setInterval(() => o.textContent = [localStorage.n,
document.cookie, name, document.hasFocus(), history.length], 100)</script>"""
    assert {home.render(page).verdict.visible_text for _ in range(3)} == {"1,n=1,x,true,2"}
    small = home.render(page, width=320, height=240)
    with Image.open(io.BytesIO(small.screenshots[0])) as picture:
        assert picture.size == (320, 240)


def test_a_page_cut_short_for_want_of_a_processor_is_looked_at_again(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_module._Watch, "starved", lambda watch: True)
    monkeypatch.setattr(pool_module, "BUDGET_PART", 1e-6)
    tries = []
    tried = RenderPool._tried

    async def counted(self: RenderPool, place: Any, html: str, options: RenderOptions) -> Any:
        tries.append(html)
        return await tried(self, place, html, options)

    monkeypatch.setattr(RenderPool, "_tried", counted)
    home.render("<h1>late</h1>")
    assert len(tries) == 2


def test_a_picture_that_a_workers_drawing_did_not_reach_is_no_verdict(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chromium loses such a drawing one time in twenty; here the first picture's is lost for certain."""
    worker = "new Worker(URL.createObjectURL(new Blob(['0'])))"
    looks = []

    def lost_at_first(*seen: Any) -> Verdict:
        looks.append(judge(*seen))
        return Verdict(False, "blank") if len(looks) == 1 else looks[-1]

    judge = pool_module.judge
    monkeypatch.setattr(pool_module, "judge", lost_at_first)
    assert home.render(f"<h1>drawn</h1><script>{worker}</script>").verdict.rendered and len(looks) == 2
    looks.clear()
    assert home.render("<h1>drawn</h1>").verdict.reason == "blank" and len(looks) == 1


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_at_least_95_of_100_pages_give_the_same_pixels_beside_a_busy_core() -> None:
    command = [sys.executable, "bench/determinism.py"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    shares = json.loads(result.stdout.splitlines()[-1])
    assert result.returncode == 0 and shares["pages"] >= 100, result.stdout
    assert shares["same_pixels"] >= 0.95 and shares["same_evidence"] >= 0.95, result.stdout


@pytest.mark.slow
def test_nothing_grows_over_many_pages() -> None:
    result = subprocess.run(
        [sys.executable, "bench/soak.py", "--pages", "1000"], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout


def test_a_page_is_called_back_as_often_as_its_drawing_allows(home: Home) -> None:
    page = """<canvas id=c width=300 height=200></canvas><p id=o></p><script>let n = 0;
    (function step() { o.textContent = ++n; const d = c.getContext('2d'); d.clearRect(0, 0, 300, 200);
      for (let i = 0; i < CALLS; i++) d.fillRect(i % 300, (i + n) % 200, 2, 2); requestAnimationFrame(step); })()
    </script>"""
    light = home.render(page.replace("CALLS", "20")).verdict
    crowded = home.render(page.replace("CALLS", "9000")).verdict
    assert light.rendered and crowded.rendered
    assert 115 < int(light.visible_text) < 126 and 18 < int(crowded.visible_text) < 24
