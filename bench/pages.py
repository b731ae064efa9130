"""Pages to measure rendering with: 40 of 5 to 40 KB as models write them, and 20 of 0.3 to 1 MB.

Out: `ordinary` and `heavy`, the same pages every time. The ordinary ones are composed pages with more content, styles
and script; a heavy one has much of one thing: data inline, nodes, pictures inline, script that computes, or a
simulation. What a page does after it has loaded decides what a render costs, so it is what the 12 kinds of the recipe
ask for: of 12 ordinary pages four go on moving (animation, gamification, data visualisation, interaction: a canvas by
requestAnimationFrame, an endless CSS animation), one polls (real-time) and moves, the rest stand still; of 20 heavy
pages four simulate and two poll. Every page names two files of other hosts, which nobody reaches (the median of pages
that models write).
"""

from __future__ import annotations

import base64
import io
import json
import random
from pathlib import Path

from PIL import Image, ImageFilter

from artifactscoder.llm.procedural.compose import compose

SEEDS = Path(__file__).resolve().parents[1] / "workflow/seeds/subcategories.jsonl"
WORDS = "plan page list figure order garden music report season travel market energy school kitchen weather".split()
CARD = """<article class="card c{n}"><svg width="40" height="40">
<circle cx="20" cy="20" r="{r}" fill="hsl({h},60%,50%)"/>
<path d="M4 20 L20 {r} L36 20" stroke="#223" fill="none"/></svg>
<h3>{title}</h3><p>{text}</p>
<button data-n="{n}">Open</button></article>
"""
STYLE = """.c{n} {{ background: linear-gradient({h}deg, #fff, hsl({h},40%,92%)); border-radius: {r}px; padding: 12px;
  box-shadow: 0 2px 8px #0002; transition: transform .2s }} .c{n}:hover {{ transform: translateY(-2px) }}
"""
SCRIPT = """<canvas id="more" width="600" height="160"></canvas><script>
(() => {{ const rows = {rows}; const d = more.getContext("2d"); rows.forEach((row, i) => {{
  d.fillStyle = `hsl(${{row.v * 3}},60%,50%)`; d.fillRect(i * 8, 160 - row.v, 6, row.v); }});
document.querySelectorAll("[data-n]").forEach(b => b.addEventListener("click", () => b.textContent = "Opened")); }})();
</script>"""


FOREIGN = """<link rel="stylesheet" href="https://styles.example.com/all.css">
<img src="https://images.example.com/{n}.jpg" width="60" height="40" alt="">"""
MOVES = """<style>@keyframes drift {{ to {{ transform: translateX(60px) rotate(20deg) }} }}
.drift {{ width: 60px; height: 60px; background: hsl({h},60%,60%); animation: drift 3s ease-in-out infinite alternate }}
</style><div class="drift"></div><canvas id="scene" width="640" height="300"></canvas><script>
(() => {{ const d = scene.getContext("2d"), dots = Array.from({{length: 150}}, () => [Math.random() * 640,
  Math.random() * 300, Math.random() - .5, Math.random() - .5]);
(function draw() {{ d.clearRect(0, 0, 640, 300);
  for (const p of dots) {{ p[0] = (p[0] + p[2] + 640) % 640; p[1] = (p[1] + p[3] + 300) % 300;
    d.beginPath(); d.arc(p[0], p[1], 4, 0, 7); d.fillStyle = `hsl(${{p[0] / 2}},70%,55%)`; d.fill(); }}
  requestAnimationFrame(draw); }})(); }})();
</script>"""
POLLS = """<p id="feed">no news</p><script>
setInterval(() => fetch("https://api.example.com/prices").then(r => r.json()).then(v => feed.textContent = v)
  .catch(() => feed.textContent = "no connection"), 400);
</script>"""


def _lived(page: str, number: int, moves: bool, polls: bool) -> str:
    more = FOREIGN.format(n=number) + (MOVES.format(h=number * 37 % 360) if moves else "") + (POLLS if polls else "")
    return page.replace("</body>", more + "</body>", 1) if "</body>" in page else page + more


def ordinary(count: int = 40) -> list[str]:
    briefs = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    pages = []
    for number in range(count):
        row = briefs[number * len(briefs) // count]
        page = compose(f"{row['name']}. {row['brief']}", number)
        page = _grown(page, 4_000 + 34_000 * number // max(1, count - 1), random.Random(number))
        pages.append(_lived(page, number, moves=number % 12 in (1, 4, 7, 9, 10), polls=number % 12 == 10))
    return pages


def _text(rng: random.Random, words: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(words))


def _grown(page: str, size: int, rng: random.Random) -> str:
    styles, cards, number = [], [], 0
    rows = [{"n": _text(rng, 2), "v": rng.randrange(150)} for _ in range(min(70, size // 500))]
    script = SCRIPT.format(rows=json.dumps(rows))
    while len(page) + len(script) + sum(map(len, styles)) + sum(map(len, cards)) < size:
        shape = {"n": number, "r": rng.randrange(6, 18), "h": rng.randrange(360)}
        styles.append(STYLE.format(**shape))
        cards.append(CARD.format(**shape, title=_text(rng, 3).title(), text=_text(rng, 18)))
        number += 1
    grid = "<section style='display:grid;grid-template-columns:repeat(4,1fr);gap:12px'>" + "".join(cards) + "</section>"
    more = f"<style>{''.join(styles)}</style>{grid}{script}"
    return page.replace("</body>", more + "</body>", 1) if "</body>" in page else page + more


def heavy(count: int = 20) -> list[str]:
    makers = (_data, _nodes, _pictures, _computing, _simulation)
    pages = []
    for number in range(count):
        size = 300_000 + 700_000 * number // max(1, count - 1)
        page = makers[number % 5](size, random.Random(1000 + number))
        pages.append(_lived(page, number, moves=False, polls=number % 10 == 3))
    return pages


def _page(title: str, body: str) -> str:
    style = "body{font-family:sans-serif;margin:24px}td,th{padding:2px 8px;border-bottom:1px solid #ddd}"
    return f"<!DOCTYPE html><html><head><title>{title}</title><style>{style}</style></head><body><h1>{title}</h1>{body}"


def _data(size: int, rng: random.Random) -> str:
    rows = [[_text(rng, 4), rng.random(), rng.randrange(10**6)] for _ in range(size // 52)]
    return _page(
        "Data",
        f"<table id=t></table><canvas id=c width=900 height=300></canvas><script>const rows={json.dumps(rows)};"
        "rows.sort((a,b)=>b[1]-a[1]);t.innerHTML=rows.slice(0,400).map(r=>'<tr><td>'+r.join('<td>')).join('');"
        "const d=c.getContext('2d');rows.forEach((r,i)=>d.fillRect(i/rows.length*900,300-r[1]*300,2,2))</script>",
    )


def _nodes(size: int, rng: random.Random) -> str:
    row = "<tr><td>{}</td><td><b>{}</b></td><td><span style='color:hsl({},60%,40%)'>{}</span></td></tr>"
    rows = (row.format(i, _text(rng, 3), rng.randrange(360), rng.randrange(10**6)) for i in range(size // 105))
    return _page("Nodes", f"<table>{''.join(rows)}</table>")


def _pictures(size: int, rng: random.Random) -> str:
    pictures = []
    for _ in range(max(1, size // 62_000)):
        image = Image.frombytes("RGB", (120, 128), rng.randbytes(120 * 128 * 3)).filter(ImageFilter.GaussianBlur(2))
        file = io.BytesIO()
        image.save(file, "PNG", compress_level=0)
        pictures.append(f"<img width=240 src='data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}'>")
    return _page("Pictures", "".join(pictures) + f"<p>{_text(rng, 200)}</p>")


def _computing(size: int, rng: random.Random) -> str:
    functions = "".join(
        f"function f{i}(a,b){{let s={rng.randrange(99)};for(let i=0;i<40;i++)s=(s*a+b+i)%99991;return s}}\n"
        for i in range(size // 84)
    )
    return _page(
        "Computing",
        f"<pre id=o></pre><script>{functions}let n=0;for(let k=0;k<{size // 84};k++)n+=window['f'+k](k,3);"
        "for(let i=0;i<2e7;i++)n=(n+i)%99991;o.textContent=n</script>",
    )


def _simulation(size: int, rng: random.Random) -> str:
    bodies = [[rng.randrange(900), rng.randrange(500), rng.random(), rng.random()] for _ in range(size // 48)]
    return _page(
        "Simulation",
        f"<canvas id=c width=900 height=500></canvas><script>const b={json.dumps(bodies)},d=c.getContext('2d');"
        "(function step(){d.fillStyle='#113';d.fillRect(0,0,900,500);d.fillStyle='#fd6';for(const p of b){"
        "p[0]=(p[0]+p[2])%900;p[1]=(p[1]+p[3])%500;d.fillRect(p[0],p[1],2,2)}requestAnimationFrame(step)})()</script>",
    )
