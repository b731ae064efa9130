# ruff: noqa: E501 - pages are written in one line each
"""Pages written after the rules of the verdict were settled, and never looked at to settle them."""

from __future__ import annotations

import random
from collections.abc import Iterator

from .rendering import INKS, canvas, prose, styled

DATA = "const d=g.createImageData(W,H);for(let y=0;y<H;y++)for(let x=0;x<W;x++){const i=(y*W+x)*4;%s;d.data[i+3]=255}g.putImageData(d,0,0)"


def pages() -> Iterator[tuple[str, bool, str]]:
    rng = random.Random(23)
    for kind, html in _good(rng):
        yield kind, True, html
    for kind, html in _bad(rng):
        yield kind, False, html


def _good(rng: random.Random) -> Iterator[tuple[str, str]]:
    for number in range(6):
        back, ink = INKS[number % 5]
        cards = "".join(
            f"<section><h3>{prose(rng, 2)}</h3><b>{rng.randrange(999)}</b></section>" for _ in range(4 + number)
        )
        yield (
            "dashboard",
            styled(
                f"body{{background:{back};color:{ink};display:grid;grid-template-columns:repeat(4,1fr);gap:9px}}section{{border:1px solid {ink};padding:9px}}",
                cards,
            ),
        )
    yield (
        "newspaper",
        styled(
            "body{columns:6;font:9px/1.1 serif;text-align:justify}",
            f"<h1>{prose(rng, 4)}</h1>" + "".join(f"<p>{prose(rng, 90)}</p>" for _ in range(40)),
        ),
    )
    for step in (4, 6, 12):
        yield (
            "halftone",
            canvas(
                f"for(let y=0;y<H;y+={step})for(let x=0;x<W;x+={step}){{g.beginPath();g.arc(x,y,{step}*.7*Math.abs(Math.sin(x/200)*Math.cos(y/150)),0,7);g.fill()}}"
            ),
        )
    for count in (20000, 120000):
        yield (
            "stippling",
            canvas(
                f"for(let i=0;i<{count};i++){{const x=r()*W,y=r()*H;if(r()<Math.exp(-((x-640)**2+(y-360)**2)/40000))g.fillRect(x,y,1,1)}}"
            ),
        )
    yield (
        "cross hatching",
        canvas(
            "for(let i=-H;i<W;i+=4){g.beginPath();g.moveTo(i,0);g.lineTo(i+H,H);g.moveTo(i+H,0);g.lineTo(i,H);g.stroke()}"
        ),
    )
    for size in (6, 10, 20):
        yield (
            "maze",
            canvas(
                f"const m={size};for(let y=0;y<H;y+=m)for(let x=0;x<W;x+=m){{g.beginPath();if(r()<.5){{g.moveTo(x,y);g.lineTo(x+m,y+m)}}else{{g.moveTo(x+m,y);g.lineTo(x,y+m)}}g.stroke()}}"
            ),
        )
    yield "barcode", canvas("for(let x=0;x<W;x+=3)if(r()<.5)g.fillRect(x,100,3,500)")
    for size in (3, 8, 20):
        yield (
            "heat map",
            canvas(
                f"const m={size};for(let y=0;y<H;y+=m)for(let x=0;x<W;x+=m){{g.fillStyle=`hsl(${{240-240*Math.abs(Math.sin(x/300+y/200))*(.8+.2*r())}},90%,50%)`;g.fillRect(x,y,m,m)}}"
            ),
        )
    yield (
        "spectrogram",
        canvas(
            DATA
            % "const v=255*Math.abs(Math.sin(x/40)*Math.cos(y/9))*(.6+.4*r());d.data[i]=v;d.data[i+1]=v/2;d.data[i+2]=90"
        ),
    )
    yield (
        "clouds",
        canvas(
            DATA
            % "const v=128+60*Math.sin(x/70+2*Math.sin(y/50))+40*Math.cos(y/33+Math.sin(x/21));d.data[i]=v;d.data[i+1]=v;d.data[i+2]=255"
        ),
    )
    yield (
        "television in a page",
        styled(
            "body{background:#222;color:#eee}",
            "<h1>Retro television</h1><canvas id=c width=480 height=320></canvas><button>Channel</button>",
            "const g=c.getContext('2d'),d=g.createImageData(480,320);for(let i=0;i<d.data.length;i+=4){d.data[i]=d.data[i+1]=d.data[i+2]=Math.random()*256;d.data[i+3]=255}g.putImageData(d,0,0)",
        ),
    )
    yield (
        "stereogram",
        canvas(
            DATA
            % "const p=80-6*(Math.hypot(x-640,y-360)<200);const q=x<p?-1:i-p*4;const v=q<0||x<90?(r()<.5?0:255):d.data[q];d.data[i]=d.data[i+1]=d.data[i+2]=v"
        ),
    )
    yield (
        "snow",
        canvas(
            "g.fillStyle='#0b1a33';g.fillRect(0,0,W,H);g.fillStyle='#fff';for(let i=0;i<900;i++){g.beginPath();g.arc(r()*W,r()*H,r()*3,0,7);g.fill()}"
        ),
    )
    words = "".join(
        f'<span style="font-size:{rng.randrange(10, 60)}px;color:#{rng.randrange(4096):03x}">{rng.choice(prose(rng, 9).split())} </span>'
        for _ in range(160)
    )
    yield "word cloud", styled("body{line-height:1}", words)
    yield "emoji", styled("body{display:grid;place-items:center;height:95vh;font-size:60px}", "&#128640;")
    yield "contenteditable", styled("div{border:1px solid #ccc;height:60px;width:300px}", "<div contenteditable></div>")
    yield (
        "progress",
        styled(
            "div{width:600px;height:8px;background:#eee}i{display:block;width:40%;height:8px;background:#36c}",
            "<p>40 %</p><div><i></i></div>",
        ),
    )
    yield (
        "text on a gradient",
        styled(
            "body{min-height:100vh;background:linear-gradient(#667eea,#764ba2);color:#fff}", f"<h1>{prose(rng, 2)}</h1>"
        ),
    )
    yield (
        "gradient cards",
        styled(
            "div{height:200px;width:300px;margin:20px;background:linear-gradient(#f6d365,#fda085)}body{background:linear-gradient(#fff,#eee)}",
            "<div></div><div></div>",
        ),
    )
    for number in range(4):
        back, ink = INKS[number]
        yield (
            "list",
            styled(
                f"body{{background:{back};color:{ink}}}",
                "<ul>" + "".join(f"<li>{prose(rng, 6)}" for _ in range(1 + number * 3)) + "</ul>",
            ),
        )


def _bad(rng: random.Random) -> Iterator[tuple[str, str]]:
    text = f"<h1>{prose(rng, 4)}</h1><p>{prose(rng, 60)}</p>"
    yield "noise again", canvas(DATA % "const v=128+60*(r()+r()+r()-1.5);d.data[i]=d.data[i+1]=d.data[i+2]=v*1.5%256")
    yield "noise again", canvas(DATA % "d.data[i]=r()<.5?255:0;d.data[i+1]=r()<.5?255:0;d.data[i+2]=r()<.5?255:0")
    yield "noise again", canvas(DATA % "const v=r()<.3?0:r()<.5?255:128;d.data[i]=d.data[i+1]=d.data[i+2]=v")
    yield (
        "noise again",
        canvas(
            "for(let i=0;i<400000;i++){g.fillStyle=`hsl(${r()*360},99%,${r()*100}%)`;g.fillRect(r()*W|0,r()*H|0,2,2)}"
        ),
    )
    yield (
        "noise again",
        styled(
            "body{margin:0}",
            "<canvas id=c width=1280 height=720></canvas>" + text,
            "const g=c.getContext('2d'),d=g.createImageData(1280,720);crypto.getRandomValues(d.data.subarray(0,65536));for(let i=0;i<d.data.length;i++)d.data[i]=i%4==3?255:Math.random()*256;g.putImageData(d,0,0)",
        ),
    )
    yield "text as its background", styled("body{background:linear-gradient(90deg,#336,#336);color:#336}", text)
    yield (
        "gradient over all",
        styled("body::after{content:'';position:fixed;inset:0;background:radial-gradient(#446,#112)}", text),
    )
    yield "empty list", styled("ul{list-style:none}", "<ul>" + "<li></li>" * 9 + "</ul>", "items.map(show)")
    yield (
        "shown when loaded",
        styled("body.loading main{display:none}", f"<main>{text}</main>", "undefinedLibrary.init()").replace(
            "<body>", '<body class="loading">'
        ),
    )
    yield (
        "stuck animation",
        styled("@keyframes a{to{opacity:1}}main{opacity:0;animation:a 1s 3600s both}", f"<main>{text}</main>"),
    )
    yield (
        "clipped text",
        styled("h1,p{color:transparent;background-clip:text;-webkit-background-clip:text;background-color:#fff}", text),
    )
    yield "beyond the edge", styled("main{position:absolute;top:-9000px}", f"<main>{text}</main>")
    yield "no depth", styled("main{transform:rotateY(90deg)}", f"<main>{text}</main>")
    yield "blurred away", styled("body{background:#ddd}main{filter:blur(400px)}", f"<main>{text}</main>")
    yield (
        "white svg",
        styled(
            "",
            '<svg width="900" height="600"><rect width="900" height="600" fill="#fff"/><text y="50" fill="#fff">text</text></svg>',
        ),
    )
    yield "transparent canvas", canvas("g.globalAlpha=0;g.fillRect(0,0,900,600);g.fillText('text',50,50)")
    yield "template only", styled("", f"<template>{text}</template><script type='text/x-template'>{text}</script>")
    yield "broken pictures", styled("", "".join(f'<img src="photo{i}.jpg" alt="">' for i in range(9)))
    yield (
        "frame of another",
        styled(
            "body{margin:0;background:#111}",
            '<iframe src="https://www.example.org/embed" style="border:0;width:100%;height:100vh"></iframe>',
        ),
    )
    yield (
        "dark and empty",
        styled(
            "body{background:radial-gradient(circle at top,#1e293b,#0f172a);min-height:100vh}",
            "<div id=app class=container></div>",
            "import{createApp}from'vue'",
        ),
    )
    for number in range(3):
        back, ink = INKS[number + 1]
        yield (
            "never mounted",
            styled(
                f":root{{--b:{back}}}body{{margin:0;background:var(--b);color:{ink}}}",
                "<div id=root></div>",
                "root.innerHTML=render(state)",
            ),
        )
