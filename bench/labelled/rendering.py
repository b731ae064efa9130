# ruff: noqa: E501 - pages are written in one line each
"""Pages that render, among them those that a measure of emptiness or noise might take for others."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

from artifactscoder.llm.procedural.compose import compose

SEEDS = Path(__file__).resolve().parents[2] / "workflow/seeds/subcategories.jsonl"
WORDS = (
    "the quick harbour lists seven lanterns while a patient clerk counts boxes of tea and paper by the window".split()
)
INKS = [("#fff", "#111"), ("#111", "#eee"), ("#0b1020", "#9fb3ff"), ("#fdf6e3", "#586e75"), ("#002b36", "#93a1a1")]


def prose(rng: random.Random, count: int) -> str:
    return " ".join(rng.choice(WORDS) for _ in range(count))


def styled(css: str, body: str, script: str = "") -> str:
    """A whole page."""
    run = f"<script>{script}</script>" if script else ""
    return f"<!DOCTYPE html><html><head><title>Page</title><style>{css}</style></head><body>{body}{run}</body></html>"


def canvas(script: str, width: int = 1280, height: int = 720, css: str = "body{margin:0}") -> str:
    """A page of one canvas `c` with its context `g` and a seeded generator `r`."""
    start = (
        "const g=c.getContext('2d');let s=12345;const r=()=>(s=(s*1103515245+12345)&0x7fffffff)/0x7fffffff;"
        f"const W={width},H={height};"
    )
    return styled(css, f'<canvas id="c" width="{width}" height="{height}"></canvas>', start + script)


def pages() -> Iterator[tuple[str, str]]:
    rng = random.Random(7)
    briefs = [json.loads(line) for line in SEEDS.read_text().splitlines()]
    for row in rng.sample(briefs, 30):
        yield "composed", compose(f"{row['name']}. {row['brief']}", 1)
    for number in range(8):
        back, ink = INKS[number % 5]
        text = "".join(f"<p>{prose(rng, 80)}</p>" for _ in range(1 + number * 2))
        yield "prose", styled(f"body{{background:{back};color:{ink};font:16px serif;max-width:700px}}", text)
    for number, text in enumerate(["Hello", "OK", "Hello, world!", "42", "It works.", "One line of prose.", "a", "."]):
        back, ink = INKS[number % 5]
        yield "one line", styled(f"body{{background:{back};color:{ink}}}", text)
    for colours in (("red", "white"), ("#000", "#fff"), ("navy", "gold"), ("#eee", "#111")):
        blocks = "".join(f'<div style="height:50vh;background:{colour}"></div>' for colour in colours)
        yield "flag", styled("body{margin:0}", blocks)
    for number in range(4):
        size = 4 + 4 * number
        yield (
            "clock",
            styled(
                f"body{{margin:0;background:#000;display:grid;place-items:center;height:100vh}}p{{color:#0f0;font:{size}vw monospace}}",
                "<p id=t></p>",
                "t.textContent=new Date().toTimeString().slice(0,8)",
            ),
        )
    yield from _games(rng)
    yield from _waiting(rng)
    yield from _restless(rng)
    yield from _dense(rng)
    yield from _faint(rng)
    yield from _without(rng)


def _games(rng: random.Random) -> Iterator[tuple[str, str]]:
    for size in (6, 10, 20, 30):
        dark, light = rng.choice(INKS)
        snake = "".join(f"g.fillRect({100 + i * size},{200},{size - 1},{size - 1});" for i in range(3))
        yield (
            "canvas game",
            canvas(
                f"g.fillStyle='{dark}';g.fillRect(0,0,W,H);g.fillStyle='{light}';{snake}g.fillRect(500,400,{size},{size})"
            ),
        )
    yield (
        "canvas game",
        canvas(
            "g.fillRect(0,0,W,H);g.fillStyle='#fff';g.fillRect(20,300,10,80);g.fillRect(1250,320,10,80);g.fillRect(640,360,10,10)"
        ),
    )
    yield "canvas game", canvas("g.fillRect(90,90,10,10)", 300, 200, "")
    cells = "".join(f'<i style="background:{"#333" if i % 2 else "#fff"}"></i>' for i in range(64))
    yield "board", styled("b{display:grid;grid:repeat(8,60px)/repeat(8,60px)}", f"<b>{cells}</b>")
    yield (
        "board",
        styled("td{width:90px;height:90px;border:2px solid}", "<table>" + "<tr><td><td><td>" * 3 + "</table>"),
    )
    yield "board", canvas("for(let y=0;y<36;y++)for(let x=0;x<64;x++){if(r()<.3)g.fillRect(x*20,y*20,20,20)}")


def _waiting(rng: random.Random) -> Iterator[tuple[str, str]]:
    for number, words in enumerate(["Click to start", "Press any key", "Tap", "START", "Play", "Enter"]):
        back, ink = INKS[number % 5]
        css = f"body{{margin:0;height:100vh;display:grid;place-items:center;background:{back};color:{ink}}}"
        yield (
            "waits for a click",
            styled(css, f"<button>{words}</button>" if number % 2 else f"<h2>{words}</h2>", "onclick=()=>{}"),
        )


def _restless(rng: random.Random) -> Iterator[tuple[str, str]]:
    black = "g.fillStyle='#000';g.fillRect(0,0,W,H);"
    for count in (60, 400, 3000, 20000, 80000):
        yield (
            "starfield",
            canvas(f"{black}g.fillStyle='#fff';for(let i=0;i<{count};i++)g.fillRect(r()*W|0,r()*H|0,1,1)"),
        )
    for count, size in ((300, 8), (3000, 4), (20000, 2), (6000, 12), (60000, 2)):
        yield (
            "particles",
            canvas(
                f"{black}for(let i=0;i<{count};i++){{g.fillStyle=`hsl(${{r()*360}},80%,60%)`;g.beginPath();g.arc(r()*W,r()*H,{size}*r(),0,7);g.fill()}}"
            ),
        )
    for size, width in ((8, 41), (4, 57), (2, 177), (3, 177), (12, 25), (6, 117)):
        bits = f"const n={width},m={size};g.fillStyle='#fff';g.fillRect(0,0,W,H);g.fillStyle='#000';for(let y=0;y<n;y++)for(let x=0;x<n;x++)if(r()<.5)g.fillRect(40+x*m,40+y*m,m,m)"
        yield "qr code", canvas(bits)
    tones = ("x/W", "(1+Math.sin(x/90)*Math.cos(y/70))/2", "Math.hypot(x-W/2,y-H/2)/W", "(x^y)%256/256", "y/H")
    for number, tone in enumerate(tones):
        for part in (1, 0.5):
            w, h = int(1280 * part), int(720 * part)
            matrix = "const b=[0,8,2,10,12,4,14,6,3,11,1,9,15,7,13,5];"
            test = f"{tone}>(b[y%4*4+x%4]+.5)/16" if number % 2 else f"{tone}>r()"
            yield (
                "dithering",
                canvas(
                    f"{matrix}const d=g.createImageData(W,H);for(let y=0;y<H;y++)for(let x=0;x<W;x++){{const v={test}?255:0,i=(y*W+x)*4;d.data[i]=d.data[i+1]=d.data[i+2]=v;d.data[i+3]=255}}g.putImageData(d,0,0)",
                    w,
                    h,
                ),
            )
    for size in (1, 2, 4, 8):
        w, h = (640, 480) if size == 1 else (1280, 720)
        yield (
            "game of life",
            canvas(f"const m={size};for(let y=0;y<H;y+=m)for(let x=0;x<W;x+=m)if(r()<.25)g.fillRect(x,y,m,m)", w, h),
        )
    for strength in (20, 60, 120):
        yield (
            "grain behind text",
            styled(
                "body{margin:0;background:#1b2735;color:#fff}canvas{position:fixed;inset:0;z-index:-1}h1{font-size:90px}",
                f"<canvas id=c width=1280 height=720></canvas><h1>Film grain</h1><p>{prose(rng, 40)}</p>",
                f"const g=c.getContext('2d'),d=g.createImageData(1280,720);for(let i=0;i<d.data.length;i+=4){{d.data[i]=d.data[i+1]=d.data[i+2]=255;d.data[i+3]=Math.random()*{strength}}}g.putImageData(d,0,0)",
            ),
        )
    fractal = "for(let y=0;y<H;y+=2)for(let x=0;x<W;x+=2){let a=0,b=0,n=0;const p=x/W*3-2.2,q=y/H*2-1;while(a*a+b*b<4&&n<60){[a,b]=[a*a-b*b+p,2*a*b+q];n++}g.fillStyle=`hsl(${n*%d},90%%,${n<60?50:0}%%)`;g.fillRect(x,y,2,2)}"
    for hue in (6, 40, 97):
        yield "fractal", canvas(fractal % hue)
    yield (
        "matrix rain",
        canvas(
            black
            + "g.fillStyle='#0f0';g.font='14px monospace';for(let i=0;i<9000;i++)g.fillText(String.fromCharCode(0x30A0+r()*96),(r()*90|0)*14,(r()*52|0)*14)"
        ),
    )
    for size in (2, 4, 16):
        yield (
            "fine pattern",
            styled(
                f"body{{margin:0;height:100vh;background:repeating-conic-gradient(#000 0 25%,#fff 0 50%) 0 0/{size * 2}px {size * 2}px}}h1{{background:#fff;margin:200px}}",
                "<h1>Optical pattern</h1>",
            ),
        )
    yield (
        "plasma",
        canvas(
            "const d=g.createImageData(W,H);for(let y=0;y<H;y++)for(let x=0;x<W;x++){const i=(y*W+x)*4;d.data[i]=128+127*Math.sin(x/30);d.data[i+1]=128+127*Math.sin(y/25);d.data[i+2]=128+127*Math.sin((x+y)/40);d.data[i+3]=255}g.putImageData(d,0,0)"
        ),
    )


def _dense(rng: random.Random) -> Iterator[tuple[str, str]]:
    for size in (7, 9, 11, 13):
        rows = "".join("<tr>" + "".join(f"<td>{rng.randrange(10**5)}" for _ in range(34)) for _ in range(70))
        yield (
            "dense table",
            styled(
                f"body{{margin:0}}table{{font:{size}px sans-serif;border-collapse:collapse}}td{{border:1px solid #999}}",
                f"<table>{rows}</table>",
            ),
        )
    for size, weight, family in (
        (5, 400, "serif"),
        (6, 400, "sans-serif"),
        (8, 700, "sans-serif"),
        (9, 400, "monospace"),
        (10, 900, "sans-serif"),
    ):
        yield (
            "small text",
            styled(f"body{{margin:0;font:{weight} {size}px/1 {family};word-break:break-all}}", prose(rng, 9000)),
        )
    code = "\n".join("".join(rng.choice("{}[]()<>=+-*/;:ABCDEFxyz0189 ") for _ in range(210)) for _ in range(60))
    yield (
        "small text",
        styled(
            "body{margin:0;background:#000;color:#0f0}pre{font:10px/1 monospace;margin:0}",
            f"<pre>{code.replace('<', '&lt;')}</pre>",
        ),
    )
    art = "\n".join("".join(rng.choice("@%#*+=-:. ") for _ in range(210)) for _ in range(100))
    yield "ascii art", styled("pre{font:6px/1 monospace;font-weight:bold}", f"<pre>{art}</pre>")
    marks = "".join(
        f'<circle cx="{rng.random() * 1200:.0f}" cy="{rng.random() * 700:.0f}" r="2"/>' for _ in range(4000)
    )
    yield "scatter plot", styled("", f'<svg width="1200" height="700">{marks}</svg>')
    lines = "".join(
        f'<path d="M{x * 3} {rng.random() * 700:.0f}V700" stroke="#{rng.randrange(4096):03x}"/>' for x in range(400)
    )
    yield "bar chart", styled("", f'<svg width="1200" height="700">{lines}</svg>')


def _faint(rng: random.Random) -> Iterator[tuple[str, str]]:
    for back, ink in (
        ("#fff", "#ddd"),
        ("#fff", "#eaeaea"),
        ("#111", "#222"),
        ("#000", "#141414"),
        ("#f5f5f5", "#fff"),
    ):
        yield "faint text", styled(f"body{{background:{back};color:{ink};font:40px sans-serif}}", prose(rng, 30))
    for stroke in (0.5, 1):
        yield (
            "thin lines",
            styled(
                "",
                f'<svg width="600" height="400"><path d="M10 10L590 390M10 390L590 10" stroke="#000" stroke-width="{stroke}"/></svg>',
            ),
        )
    for kind in (
        "<input>",
        "<textarea></textarea>",
        "<select><option>one</select>",
        "<input type=range><progress value=.4></progress>",
    ):
        yield "form only", styled("", kind)
    for shape in (
        '<circle r="20" cx="30" cy="30"/>',
        '<rect width="1280" height="2" y="300"/>',
        '<text y="40">drawn</text>',
        '<circle r="300" cx="400" cy="350" fill="tomato"/>',
    ):
        yield "drawing only", styled("", f'<svg width="1280" height="700">{shape}</svg>')
    yield (
        "style drawing",
        styled(
            "body{margin:0;background:#123}body::before{content:'';position:fixed;left:400px;top:200px;width:300px;height:300px;border-radius:50%;background:gold}",
            "",
        ),
    )
    yield (
        "style drawing",
        styled(
            "div{width:300px;height:300px;background:conic-gradient(red,blue,lime,red);border-radius:50%;margin:100px auto}",
            "<div></div>",
        ),
    )


def _without(rng: random.Random) -> Iterator[tuple[str, str]]:
    for number in range(6):
        back, ink = INKS[number % 5]
        hero = '<img src="https://images.example.com/hero.jpg" alt="" style="width:100%;height:600px;display:block">'
        yield (
            "hero image missing",
            styled(
                f"body{{margin:0;background:{back};color:{ink}}}",
                f"{hero}<h1>{prose(rng, 3)}</h1><p>{prose(rng, 60)}</p>"
                if number % 2
                else f"<h1>{prose(rng, 3)}</h1>{hero}",
            ),
        )
    for number in range(4):
        late = f"setTimeout(()=>{{document.body.innerHTML='<h1>{prose(rng, 4)}</h1>'}},{400 + 600 * number})"
        yield "splash first", styled("", "<p></p>", late)
    yield "script error aside", styled("", f"<h1>Shop</h1><p>{prose(rng, 50)}</p>", "new Swiper('.x')")
    yield (
        "library missing",
        '<!DOCTYPE html><script src="https://cdn.example.com/chart.js"></script>'
        + styled("", f"<h1>Sales</h1><canvas></canvas><p>{prose(rng, 20)}</p>", "new Chart()"),
    )
