# ruff: noqa: E501 - pages are written in one line each
"""Pages that show nothing of what they are for, each in another way."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .rendering import INKS, canvas, prose, styled

GRADIENTS = (
    "linear-gradient(#667eea,#764ba2)",
    "linear-gradient(135deg,#fff,#eee)",
    "radial-gradient(#333,#000)",
    "linear-gradient(90deg,#f6d365,#fda085)",
    "conic-gradient(#123,#345,#123)",
    "linear-gradient(#0f2027,#203a43,#2c5364)",
)


def pages() -> Iterator[tuple[str, str]]:
    rng = random.Random(11)
    yield from _empty(rng)
    yield from _hidden(rng)
    yield from _noise()
    yield from _other(rng)


def _empty(rng: random.Random) -> Iterator[tuple[str, str]]:
    for html in (
        "<!DOCTYPE html>",
        "<!DOCTYPE html><html><head><title>x</title></head><body></body></html>",
        "<!-- " + prose(rng, 50) + " -->",
        "<style>body{color:red}</style>",
    ):
        yield "empty", html
    for number in range(10):
        back, ink = INKS[number % 5]
        root = (
            '<div id="root"></div>',
            '<div id="app"></div>',
            "<main id=app></main>",
            '<div id="root"><div class="App"></div></div>',
            '<div id="__next"></div>',
        )[number % 5]
        script = (
            "ReactDOM.createRoot(root).render()",
            "Vue.createApp({}).mount('#app')",
            "import x from 'react'",
            "const {useState}=React;",
            "throw new Error('no root')",
        )[number % 5]
        yield (
            "framework root empty",
            styled(
                f"body{{margin:0;background:{back};color:{ink};min-height:100vh}}#root{{min-height:100vh;padding:20px}}",
                root,
                script,
            ),
        )
    for back in GRADIENTS:
        yield (
            "background only",
            styled(f"body{{margin:0;min-height:100vh;background:{back}}}", '<div id="root"></div>', "App()"),
        )
    for back in ("#fff", "#000", "#123456", "tomato"):
        yield "background only", styled(f"body{{margin:0;background:{back}}}", '<div style="height:100vh"></div>')
    for number in range(6):
        build = f"const a={list(range(30))};function show(){{document.body.innerHTML='<h1>{prose(rng, 5)}</h1>'}} "
        cut = build * (number + 1) + "function broken( { if (a"
        yield (
            "cut off",
            styled(f"body{{background:{INKS[number % 5][0]}}}", "<main id=m></main>", cut).replace(
                "</script></body></html>", "" if number % 2 else "</script>"
            ),
        )
    for text in (
        "<style>body{color:red} ",
        "<title>Unclosed ",
        "<script>const a = 1; ",
        "<!-- ",
        "<noscript>",
        "<template>",
    ):
        yield "unclosed", "<!DOCTYPE html>" + text + f"<h1>{prose(rng, 5)}</h1><p>{prose(rng, 40)}</p>"
    for back in ("#000", "#fff", "#111", ""):
        fill = f"g.fillStyle='{back}';g.fillRect(0,0,W,H);" if back else ""
        yield "canvas never drawn", canvas(fill + "player.draw(g)", css=f"body{{margin:0;background:{back or '#fff'}}}")
    yield (
        "canvas never drawn",
        styled("body{margin:0}", "<canvas id=c width=1280 height=720></canvas>", "new THREE.Scene()"),
    )
    for source in ("https://a.example/x.png", "data:image/png;base64,AAAA", "x.jpg"):
        yield (
            "image missing only",
            styled("body{margin:0}", f'<img src="{source}" style="width:100%;height:100vh;object-fit:cover" alt="">'),
        )
    for source in ("https://www.example.com/", "app.html", "https://player.example.com/embed"):
        yield (
            "frame refused only",
            styled("body{margin:0}", f'<iframe src="{source}" style="width:100vw;height:100vh;border:0"></iframe>'),
        )
    yield "endless loop", styled("", f"<h1>{prose(rng, 5)}</h1>", "while(true);")
    yield "endless loop", styled("", f"<h1>{prose(rng, 5)}</h1>", "for(let i=0;i<10;){Math.sqrt(i)}")


def _hidden(rng: random.Random) -> Iterator[tuple[str, str]]:
    text = f"<h1>{prose(rng, 5)}</h1><p>{prose(rng, 80)}</p>"
    for back in ("#fff", "#000", "#1e293b", "rgb(30,60,90)", "linear-gradient(#223,#445)"):
        yield "covered", styled("", text + f'<div style="position:fixed;inset:0;background:{back};z-index:9"></div>')
    for css in (
        "body{color:#fff}",
        "body{background:#000;color:#000}",
        "body{color:transparent}",
        "main{opacity:0}",
        "main{visibility:hidden}",
        "main{display:none}",
        "main{position:absolute;left:-9999px}",
        "main{font-size:0}",
        "main{transform:scale(0)}",
        "main{clip-path:inset(50%)}",
        "main{opacity:.004}",
        "body{background:#0a0a0a;color:#0b0b0b}",
        "main{height:0;overflow:hidden}",
        "main{transform:translateY(200vh);position:fixed}",
        "main{margin-top:300vh}",
        "main{filter:opacity(0)}",
    ):
        yield "invisible", styled(css, f"<main>{text}</main>")
    for number in range(4):
        yield (
            "waits for a library to fade in",
            styled(
                f"body{{background:{INKS[number][0]};color:{INKS[number][1]}}}.reveal{{opacity:0}}",
                f'<div class="reveal">{text}</div>' * 3,
                "gsap.to('.reveal',{opacity:1})",
            ),
        )


def _noise() -> Iterator[tuple[str, str]]:
    pixel = "const d=g.createImageData(W,H);for(let i=0;i<d.data.length;i+=4){%s;d.data[i+3]=255}g.putImageData(d,0,0)"
    colour = "d.data[i]=Math.random()*256;d.data[i+1]=Math.random()*256;d.data[i+2]=Math.random()*256"
    grey = "d.data[i]=d.data[i+1]=d.data[i+2]=Math.random()*256"
    mono = "d.data[i]=d.data[i+1]=d.data[i+2]=Math.random()<.5?0:255"
    for one in (
        colour,
        grey,
        mono,
        "d.data[i]=Math.random()*256",
        colour.replace("256", "128"),
        grey.replace("256", "180"),
    ):
        yield "noise", canvas(pixel % one)
    for one in (colour, mono):
        yield "noise", canvas(pixel % one, 1100, 680)
    for size in (2, 3, 4):
        yield (
            "noise",
            canvas(
                f"for(let y=0;y<H;y+={size})for(let x=0;x<W;x+={size}){{g.fillStyle=`rgb(${{Math.random()*256}},${{Math.random()*256}},${{Math.random()*256}})`;g.fillRect(x,y,{size},{size})}}"
            ),
        )
    yield (
        "noise",
        styled(
            "body{margin:0}svg{width:100vw;height:100vh}",
            '<svg><filter id="n"><feTurbulence type="turbulence" baseFrequency="1.7" numOctaves="4"/><feColorMatrix values="9 0 0 0 -3 0 9 0 0 -3 0 0 9 0 -3 0 0 0 0 1"/></filter><rect width="100%" height="100%" filter="url(#n)"/></svg>',
        ),
    )


def _other(rng: random.Random) -> Iterator[tuple[str, str]]:
    """Something shows, but not what the page is for: pixels alone do not tell."""
    for number in range(6):
        back, ink = INKS[number % 5]
        spinner = f"@keyframes t{{to{{transform:rotate(1turn)}}}}i{{width:40px;height:40px;border:5px solid {ink};border-top-color:transparent;border-radius:50%;animation:t 1s infinite linear}}"
        words = ("", "Loading…", "<p>Loading...</p>", "Please wait", "", "<p>Fetching data</p>")[number]
        yield (
            "spinner for ever",
            styled(
                f"body{{margin:0;height:100vh;display:grid;place-items:center;background:{back};color:{ink}}}{spinner}",
                f"<i></i>{words}",
                "fetch('/api/data').then(r=>r.json()).then(show)",
            ),
        )
    for number in range(6):
        back = ("#fff", "#fafafa", "#111", "#f3f4f6", "#1f2937", "#fff")[number]
        bar = ("#eee", "#e5e7eb", "#222", "#d1d5db", "#374151", "linear-gradient(90deg,#eee,#ddd,#eee)")[number]
        bars = "".join(
            f'<div style="height:{rng.choice((16, 24, 90))}px;width:{rng.randrange(30, 95)}%;background:{bar};border-radius:6px;margin:14px"></div>'
            for _ in range(3 + number)
        )
        yield "skeleton", styled(f"body{{background:{back}}}", bars, "load()")
    for words in (
        "Something went wrong.",
        "Application error: a client-side exception has occurred",
        "Unexpected application error!<pre>TypeError: x is not a function</pre>",
        "Oops! An error occurred",
        "Cannot GET /",
        "Error: Minified React error #130",
    ):
        yield "error page", styled("", f"<h2>{words}</h2>")
    for words in ("404<p>This page could not be found.", "404 Not Found<hr>nginx", "Not found"):
        yield "not found", styled("body{text-align:center}", f"<h1>{words}</h1>")
    for words in (
        "You need to enable JavaScript to run this app.",
        "Please upgrade your browser: WebGL is not available",
    ):
        yield "refuses to run", styled("", f"<p>{words}</p>")
