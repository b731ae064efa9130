"""How a page looks: palettes, fonts, systems (corners, edges, shadows, controls) and layouts, as verbatim lines.

A palette is one line of six colours with a contrast of at least 4.5 to 1 for text. A system is a set of a dozen rules
that belong together; pages of different systems share hardly a rule, so they differ to the eye and to a filter of
near-duplicates, while every line of a system is the same wherever it is used.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Palette:
    """Six colours and the words of a request that ask for them; `on` is the colour of text on `accent` and `pop`."""

    words: str
    bg: str
    card: str
    ink: str
    accent: str
    pop: str
    on: str

    @property
    def line(self) -> str:
        return (
            f":root {{ --bg: {self.bg}; --card: {self.card}; --ink: {self.ink}; "
            f"--accent: {self.accent}; --pop: {self.pop}; --on: {self.on}; }}"
        )


PALETTES = (
    Palette("blue clean business trust light white", "#eef3f9", "#fff", "#14202e", "#1d4f91", "#a3461b", "#fff"),
    Palette("green mint fresh natural health light", "#e8f5ef", "#fff", "#12261e", "#136b4c", "#9b2f5c", "#fff"),
    Palette("purple violet creative light", "#f1edfb", "#fff", "#1f1833", "#5a35a8", "#17697d", "#fff"),
    Palette("red crimson urgent light bold", "#fbeeee", "#fff", "#2c1316", "#a81e34", "#22508f", "#fff"),
    Palette("teal cyan water sea light", "#e6f4f6", "#fff", "#0f2629", "#0c6470", "#a04418", "#fff"),
    Palette("warm paper cream sun-bleached vintage print brown", "#f4eee0", "#fdfaf2", "#2c241c", "#7a3f14", "#2a5b73", "#fff"),
    Palette("forest garden botanical natural herb earth", "#eef0e2", "#fbfcf5", "#1f2a16", "#3d5f1b", "#8a4a12", "#fff"),
    Palette("navy newspaper classic two-ink library cream", "#f1ede4", "#faf8f3", "#1a2233", "#1c2f5e", "#9c2f24", "#fff"),
    Palette("pink rose candy playful sweet magenta", "#fde6f0", "#fff", "#34101f", "#a51d5d", "#5b3aa0", "#fff"),
    Palette("pastel sky bright cheerful kids", "#e0effd", "#fff", "#10263a", "#14598f", "#a02a68", "#fff"),
    Palette("lime spring bright playful", "#eff8d8", "#fff", "#222c0c", "#4a6405", "#6a2f9c", "#fff"),
    Palette("orange sunset peach bright", "#fff0e0", "#fff", "#38200b", "#9a4b00", "#a11f45", "#fff"),
    Palette("dark night navy midnight blue inky space gold", "#0e1626", "#182339", "#e8eef8", "#8ab8ff", "#ffce73", "#0b0e14"),
    Palette("dark terminal green neon hacker night", "#0b1512", "#13221d", "#e2f3ea", "#5fe3a1", "#ffc35c", "#0b0e14"),
    Palette("dark neon violet purple synth night", "#150f22", "#211833", "#f0eafb", "#c89bff", "#5fe0ea", "#0b0e14"),
    Palette("dark ember fire red copper night", "#1a100d", "#281a15", "#f8ece6", "#ff9d76", "#78d0ee", "#0b0e14"),
    Palette("dusk evening indigo gold calm dark", "#24244a", "#30305c", "#f6f4ff", "#ffd27a", "#b3c4ff", "#14121c"),
    Palette("plum wine berry dusk dark", "#361a2b", "#46243a", "#fdf2f6", "#ffb3c9", "#ffd08a", "#14121c"),
    Palette("grey gray monochrome neutral minimal plain black", "#f0f0ee", "#fff", "#161616", "#1d1d1d", "#2f5597", "#fff"),
    Palette("minimal plain neutral restrained swiss red", "#fafafa", "#fff", "#111", "#b3200e", "#333", "#fff"),
)  # fmt: skip

FONTS = (
    ":root { --font: system-ui, 'Segoe UI', sans-serif; }",
    ":root { --font: Georgia, 'Times New Roman', serif; }",
    ":root { --font: ui-monospace, Menlo, Consolas, monospace; }",
    ":root { --font: 'Trebuchet MS', Verdana, sans-serif; }",
    ":root { --font: Palatino, 'Book Antiqua', serif; }",
    ":root { --font: 'Gill Sans', Calibri, sans-serif; }",
)

# A rule: (aspect of care that it needs, what must stand in the page for it to be needed, line).
Rule = tuple[str, str, str]

RESET: tuple[Rule, ...] = (
    (
        "",
        "",
        "* { box-sizing: border-box; margin: 0; font: inherit; color: inherit; overflow-wrap: break-word; }",
    ),
    ("polish", "", ".top p { margin: 0.5rem 0; }"),
)

SYSTEMS: dict[str, tuple[Rule, ...]] = {
    "soft": (
        ("", "", "body { font: 16px/1.6 var(--font); color: var(--ink); background: var(--bg); }"),
        ("polish", "", "h1 { font: 700 2.6rem/1.2 var(--font); } h2 { font: 700 1.3rem var(--font); }"),
        ("", "", ".main { display: grid; gap: 1.5rem; align-content: start; } .top, .foot { padding: 1.5rem; }"),
        ("", "", ".card { padding: 1.6rem; background: var(--card); border-radius: 20px; box-shadow: 0 8px 30px #0002; }"),
        ("polish", "", ".card { display: flex; flex-wrap: wrap; gap: 0.8rem; place-content: start; } .card > :not(button) { flex: 1 1 100%; }"),
        ("polish", "", "button, input, select, textarea { padding: 0.6rem 1rem; border: 0; border-radius: 16px; background: var(--bg); }"),
        ("", "'li'", "ul { list-style: none; padding: 0; display: grid; gap: 0.5rem; }"),
        ("polish", "'li'", "li { display: flex; gap: 0.5rem; padding: 0.6rem 1rem; border-radius: 14px; background: var(--bg); }"),
        ("", "class=.board", ".board { display: grid; gap: 0.5rem; grid-template-columns: repeat(var(--n, 2), 1fr); } .board button { padding-inline: 0; }"),
        ("", "big", ".big { font-size: 2.1rem; color: var(--accent); }"),
        ("", "<canvas|<svg", "canvas, svg { width: 100%; border-radius: 14px; background: var(--bg); }"),
        ("", "", ".card > button, form button, [aria-pressed=true] { background: var(--accent); color: var(--on); }"),
        ("polish", "press.line", "li :first-child { margin-left: auto; }"),
        ("polish", "<label", "label { display: grid; gap: 0.3rem; }"),
        ("hover", "", "button:hover { filter: contrast(1.3); cursor: pointer; }"),
        ("focus", "", ":focus-visible { outline: 3px solid var(--pop); outline-offset: 2px; }"),
        ("skip", "", ".skip:not(:focus) { position: absolute; left: -99rem; }"),
        ("calm", "", "@media (prefers-reduced-motion) { * { animation: none !important; } }"),
    ),
    "line": (
        ("", "", "body { line-height: 1.5; font-family: var(--font); background-color: var(--card); color: var(--ink); }"),
        ("polish", "", "h1 { font-size: 38px; line-height: 1.2; } h2 { text-transform: uppercase; letter-spacing: 1px; }"),
        ("", "", ".main { align-items: start; display: grid; gap: 32px; } .top, .foot { padding: 32px; }"),
        ("", "", ".card { padding: 20px; outline: 1px solid var(--ink); border-top: 6px solid var(--accent); background: var(--card); }"),
        ("polish", "", ".card > * { margin-bottom: 12px; } output, form, svg, canvas { display: block; }"),
        ("polish", "", "select, textarea, input, button { border: 1px solid var(--ink); background: transparent; padding: 7px 14px; }"),
        ("", "'li'", "ul { margin-left: 0; padding-left: 0; border-top: 1px solid #8888; }"),
        ("polish", "'li'", "li { list-style-type: none; border-bottom: 1px solid #8888; padding: 10px 0; }"),
        ("", "class=.board", ".board { grid-template-columns: repeat(var(--n, 2), auto); display: grid; gap: 3px; } .board * { padding: 7px 0; }"),
        ("", "big", ".big { color: var(--pop); font-size: 40px; }"),
        ("", "<canvas|<svg", "svg, canvas { inline-size: 100%; outline: 1px solid #8888; }"),
        ("", "", "[aria-pressed=true], form button, .card > button { color: var(--on); background-color: var(--accent); }"),
        ("polish", "press.line", "li button { float: right; margin-top: -5px; }"),
        ("polish", "<label", "label > * { display: block; width: 100%; }"),
        ("hover", "", "button:hover { text-decoration: underline; cursor: pointer; }"),
        ("focus", "", "*:focus-visible { outline: 2px dashed var(--pop); }"),
        ("skip", "", ".skip { position: fixed; top: -5rem; } .skip:focus { top: 0; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { .card { animation-duration: 0s; } }"),
    ),
    "block": (
        ("", "", "body { background: var(--bg); color: var(--ink); font: 500 1.06rem/1.45 var(--font); }"),
        ("polish", "", "h1 { font: 900 3rem/1 var(--font); } h2 { font: 900 1.5rem/1.3 var(--font); text-transform: lowercase; }"),
        ("", "", ".main { gap: 2rem; display: grid; place-content: start stretch; } .top, .foot { padding: 1.75rem; }"),
        ("", "", ".card { border: 3px solid var(--ink); background: var(--card); padding: 1.5rem; box-shadow: 8px 8px var(--ink); }"),
        ("polish", "", ".card { display: flex; flex-flow: row wrap; gap: 14px; align-content: start; } .card > :not(button) { flex-basis: 100%; }"),
        ("polish", "", "button, select, input, textarea { border: 3px solid var(--ink); padding: 9px 13px; background: var(--card); }"),
        ("", "'li'", "ul { padding: 0; display: flex; flex-direction: column; gap: 9px; }"),
        ("polish", "'li'", "li { border-left: 10px solid var(--pop); padding: 8px 12px; display: flex; gap: 9px; }"),
        ("", "class=.board", ".board { gap: 9px; display: grid; grid: auto / repeat(var(--n, 2), 1fr); } .board > button { padding: 9px 0; }"),
        ("", "big", ".big { font: 900 2.6rem/1.1 var(--font); }"),
        ("", "<canvas|<svg", "canvas, svg { border: 3px solid var(--ink); width: 100%; background: var(--bg); }"),
        ("", "", "form button, .card > button, [aria-pressed=true] { color: var(--on); background: var(--accent); }"),
        ("polish", "press.line", "li > button:first-child { margin-inline-start: auto; }"),
        ("polish", "<label", "label { font-weight: 700; display: grid; }"),
        ("hover", "", "button:hover { translate: -2px -2px; box-shadow: 2px 2px var(--ink); }"),
        ("focus", "", ":focus-visible { outline: 4px solid var(--pop); outline-offset: 1px; }"),
        ("skip", "", ".skip:not(:focus) { clip-path: inset(50%); position: absolute; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { * { transition: none; animation: none; } }"),
    ),
    "paper": (
        ("", "", "body { font-family: var(--font); font-size: 18px; line-height: 1.65; background: var(--bg); color: var(--ink); }"),
        ("polish", "", "h1 { font: bold 2.9em/1.1 Georgia, serif; } h2 { font: italic 1.5em Georgia, serif; color: var(--accent); }"),
        ("", "", ".main { display: grid; grid-gap: 2.5em; align-items: start; } .top, .foot { padding: 1.5em 0.5em; }"),
        ("", "", ".card { border-block-start: 3px double; padding: 1.2em 0.5em; background: var(--bg); }"),
        ("polish", "", "output, label, svg, canvas { display: block; margin: 0.7em 0; } h2 { margin-bottom: 0.5em; }"),
        ("polish", "", "button, input, select, textarea { border: none; border-bottom: 2px solid; padding: 0.3em 0.7em; background: var(--card); }"),
        ("", "'li'", "ul { padding-left: 1.2em; } ul:empty { display: none; }"),
        ("polish", "'li'", "li { list-style: square; padding: 0.3em 0; }"),
        ("", "class=.board", ".board { display: grid; grid-template-columns: repeat(var(--n, 2), minmax(0, 1fr)); gap: 0.8em; } .board button { padding: 0; }"),
        ("", "big", ".big { font: 2.3em/1.2 Georgia, serif; color: var(--pop); }"),
        ("", "<canvas|<svg", "svg, canvas { background: var(--card); max-width: 100%; }"),
        ("", "", ".card > button, [aria-pressed=true], form button { background: var(--accent); color: var(--on); margin: 0.4em 0.4em 0 0; }"),
        ("polish", "press.line", "li button { margin-left: 0.6em; font-style: italic; }"),
        ("polish", "<label", "input, select, textarea { width: 100%; }"),
        ("hover", "", "button:hover { border-color: var(--pop); cursor: pointer; }"),
        ("focus", "", "a:focus-visible, :focus-visible { outline: var(--pop) solid 3px; }"),
        ("skip", "", ".skip { position: absolute; opacity: 0; } .skip:focus { opacity: 1; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { section { animation: none !important; } }"),
    ),
    "glass": (
        ("", "", "body { background: linear-gradient(140deg, var(--bg) 40%, var(--pop) 240%) fixed; color: var(--ink); font: 1rem/1.6 var(--font); }"),
        ("polish", "", "h1 { font: 300 clamp(2rem, 5vw, 3.2rem)/1.2 var(--font); } h2 { font-size: 1.25rem; color: var(--accent); }"),
        ("", "", ".main { align-content: start; gap: 1.2rem; display: grid; } .top, .foot { padding: 1.75rem; }"),
        ("", "", ".card { background: var(--card); border: 1px solid #8884; border-radius: 12px; padding: 1.5rem; }"),
        ("polish", "", ".card { display: flex; flex-wrap: wrap; gap: 0.6rem; align-content: flex-start; } .card > *:not(button) { width: 100%; }"),
        ("polish", "", "input, textarea, select, button { border: 1px solid #8886; border-radius: 8px; background: #8881; padding: 0.5rem 0.9rem; }"),
        ("", "'li'", "ul { display: grid; gap: 2px; list-style: none; padding: 0 }"),
        ("polish", "'li'", "li { background: #8882; padding: 0.5rem 0.9rem; display: flex; gap: 0.4rem; }"),
        ("", "class=.board", ".board { gap: 0.4rem; grid-template-columns: repeat(var(--n, 2), 1fr); display: grid; } .board > * { padding: 0.4rem 0; }"),
        ("", "big", ".big { font: 200 2rem/1.3 var(--font); }"),
        ("", "<canvas|<svg", "canvas, svg { border-radius: 8px; width: 100%; background: #8882; }"),
        ("", "", "[aria-pressed=true], .card > button, form button { background: var(--accent); color: var(--on); }"),
        ("polish", "press.line", "li button:first-of-type { margin-left: auto; }"),
        ("polish", "<label", "label { display: flex; flex-direction: column; }"),
        ("hover", "", "button:hover { opacity: 0.8; cursor: pointer; }"),
        ("focus", "", ":focus-visible { outline: none; box-shadow: 0 0 0 3px var(--pop); }"),
        ("skip", "", ".skip:not(:focus) { position: absolute; top: -200vh; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { *, ::before { animation: none !important; } }"),
    ),
    "ticket": (
        ("", "", "body { font: 1.05em/1.55 var(--font); background: var(--bg); color: var(--ink); }"),
        ("polish", "", "h1 { font: 800 2.7em/1.1 var(--font); } h2 { font: 600 1.2em var(--font); border-bottom: 2px dashed; }"),
        ("", "", ".main { display: grid; align-content: start; gap: 28px; } .top, .foot { padding: 26px; }"),
        ("", "", ".card { border: 2px dashed var(--accent); border-radius: 4px; background: var(--card); padding: 22px; }"),
        ("polish", "", ".card > output, .card > form, .card > label { display: block; } .card > * { margin: 0 8px 10px 0; }"),
        ("polish", "", "textarea, select, input, button { border: 2px solid #8886; border-radius: 4px; padding: 8px 12px; background: var(--card); }"),
        ("", "'li'", "ul { list-style: none; padding: 0; columns: 18em auto; }"),
        ("polish", "'li'", "li { border-bottom: 2px dotted #8888; padding: 9px 0; break-inside: avoid; }"),
        ("", "class=.board", ".board { display: grid; grid-template: auto / repeat(var(--n, 2), 1fr); gap: 8px; } .board button { padding: 8px 1px; }"),
        ("", "big", ".big { font: 800 2.2em/1.2 ui-monospace, monospace; color: var(--pop); }"),
        ("", "<canvas|<svg", "svg, canvas { display: block; width: 100%; background: var(--bg); border-radius: 4px; }"),
        ("", "", "form button, [aria-pressed=true], .card > button { background: var(--accent); color: var(--on); }"),
        ("polish", "press.line", "li button { margin-left: 8px; font-size: 0.9em; }"),
        ("polish", "<label", "label input, label select, label textarea { display: block; width: 100%; }"),
        ("hover", "", "button:hover { border-style: dashed; cursor: pointer; }"),
        ("focus", "", ":focus-visible { outline: 3px dotted var(--pop); outline-offset: 3px; }"),
        ("skip", "", ".skip { position: absolute; left: -999px; } .skip:focus { left: 8px; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { main * { animation: none; transition: none; } }"),
    ),
    "wide": (
        ("", "", "body { color: var(--ink); font: 17px/1.7 var(--font); background: var(--bg); }"),
        ("polish", "", "h1 { font: 600 3.2rem/1.1 var(--font); } h2 { font: 600 1.6rem/1.3 var(--font); }"),
        ("", "", ".main { gap: 1.4rem; align-content: start; display: grid; } .top, .foot { padding: 2.2rem 1.5rem; }"),
        ("", "", ".card { padding: 2rem; border-left: 8px solid var(--accent); background: var(--card); overflow: auto; }"),
        ("polish", "", ".card { gap: 1rem; display: flex; flex-flow: wrap; align-content: baseline; } .card > :not(button) { width: 100%; }"),
        ("polish", "", "button, textarea, input, select { background: var(--bg); border: 0; border-bottom: 3px solid var(--accent); padding: 0.7rem 1.1rem; }"),
        ("", "'li'", "ul { padding: 0; list-style: none; display: grid; gap: 0.3rem; }"),
        ("polish", "'li'", "li { padding: 0.7rem 1rem; display: flex; gap: 0.5rem; background: var(--bg); }"),
        ("", "class=.board", ".board { display: grid; gap: 0.7rem; grid-template-columns: repeat(var(--n, 2), 1fr); } .board button { padding: 0.7rem 0; }"),
        ("", "big", ".big { font: 600 2.4rem/1.2 var(--font); }"),
        ("", "<canvas|<svg", "svg, canvas { width: 100%; height: auto; background: var(--bg); }"),
        ("", "", "[aria-pressed=true], form button, .card > button { background: var(--accent); color: var(--on); }"),
        ("polish", "press.line", "li button:nth-of-type(1) { margin-left: auto; }"),
        ("polish", "<label", "label { display: grid; grid-auto-flow: row; }"),
        ("hover", "", "button:hover { border-bottom-color: var(--pop); cursor: pointer; }"),
        ("focus", "", ":focus-visible { outline: 3px solid var(--ink); }"),
        ("skip", "", ".skip { position: absolute; bottom: 100%; } .skip:focus { bottom: auto; }"),
        ("calm", "", "@media (prefers-reduced-motion: reduce) { * { animation-name: none !important; } }"),
    ),
}  # fmt: skip

NARROW = "@media (max-width: 480px) { .card, .main { padding: 1rem; } }"
FOLD = "@media (max-width: 760px) { body { display: block; } .main { grid-template-columns: 1fr; padding: 1rem; } }"
RISE = (
    "@keyframes rise { from { opacity: 0; transform: translateY(2rem); } }",
    ".card { animation: rise 0.6s both; }",
)
RESPONSIVE = ("@media (pointer: coarse) { button, input, select { min-height: 2.75rem; } }",)


@dataclass(frozen=True)
class Layout:
    """A layout: the words that ask for it, its rules, and the extra part it wants.

    `extra`: "nav" (buttons to the parts), "aside" (a note beside the parts), "tile" (that note below the head).
    """

    slug: str
    words: str
    css: tuple[str, ...]
    extra: str = ""

    @property
    def narrow(self) -> str:
        """The rule for narrow screens: columns fold into one, or less padding where there are none."""
        return FOLD if any("minmax(0, " in line for line in self.css) else NARROW


LAYOUTS = (
    Layout("column", "column single-column scrolling simple plain", ("body { max-width: 44rem; margin: 0 auto; padding: 1rem; }",)),
    Layout("cards", "card mosaic tile collection", (
        "body { max-width: 74rem; margin: 0 auto; padding: 1rem; }",
        ".main { grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); align-items: start; }",
    ), "aside"),
    Layout("sidebar", "sidebar workspace side panel navigation", (
        "body { display: grid; grid-template-columns: 19rem minmax(0, 1fr); grid-template-rows: 1fr auto; min-height: 100vh; }",
        ".top { grid-row: span 2; padding: 3rem 1.5rem; background: var(--card); } nav { display: grid; gap: 0.5rem; margin-top: 2rem; }",
        ".main { padding: 2rem; max-width: 56rem; }",
    ), "nav"),
    Layout("split", "split half two-sided beside screen", (
        "body { display: grid; grid-template-columns: 2fr minmax(0, 3fr); grid-template-rows: 1fr auto; min-height: 100vh; }",
        ".top { grid-row: span 2; padding: 3rem; display: grid; align-content: center; background: var(--accent); color: var(--on); }",
        ".main { padding: 3rem; align-content: center; }",
    )),
    Layout("hero", "hero landing banner campaign launch product", (
        ".top { padding: 5rem 1.5rem 6rem; text-align: center; color: var(--on); background: var(--accent); }",
        ".main { width: min(60rem, 100% - 2rem); margin: -3rem auto 0; } .foot { text-align: center; }",
    )),
    Layout("dashboard", "dashboard grid overview monitor control", (
        ".top { padding: 1.25rem 1.75rem; background: var(--card); border-bottom: 4px solid var(--accent); }",
        ".main { padding: 1.75rem; grid-template-columns: repeat(auto-fit, minmax(min(24rem, 100%), 1fr)); }",
    ), "aside"),
    Layout("single", "single centred stage focus minimal one-screen", (
        "body { display: grid; place-content: center; grid-template-columns: min(38rem, 100% - 2rem); min-height: 100vh; }",
        ".top, .foot { text-align: center; }",
    )),
    Layout("bento", "bento mosaic compartment block", (
        "body { display: grid; gap: 1.25rem; padding: 1.5rem; grid-template-columns: 1fr minmax(0, 2fr); align-content: start; }",
        ".top { padding: 2rem; background: var(--pop); color: var(--on); } .main { grid-area: 1 / 2 / span 3; }",
    ), "tile"),
    Layout("magazine", "magazine newspaper editorial print article", (
        "body { max-width: 70rem; margin: 0 auto; padding: 1.5rem; }",
        ".top { text-align: center; border-block: 5px double var(--ink); margin-bottom: 1.5rem; } .top h1 { font-size: clamp(2rem, 6vw, 3.6rem); }",
        ".main { grid-template-columns: minmax(0, 5fr) minmax(0, 3fr); align-items: start; }",
    ), "aside"),
    Layout("poster", "poster bold headline brutal large type", (
        "body { padding: clamp(1rem, 4vw, 4rem); border: 1.25rem solid var(--accent); min-height: 100vh; }",
        ".top h1 { font-size: clamp(2.4rem, 8vw, 5.5rem); color: var(--accent); } .main { max-width: 58rem; }",
    )),
    Layout("phone", "phone mobile app touch pocket handheld", (
        "body { max-width: 28rem; margin: 0 auto; }",
        ".top { position: sticky; top: 0; z-index: 1; color: var(--on); background: var(--accent); } .main { padding: 1.25rem; }",
    )),
    Layout("topbar", "bar menu tabs header website multi-part", (
        ".top { padding: 2rem max(1rem, 50% - 30rem); background: var(--card); } nav { display: flex; flex-wrap: wrap; gap: 0.5rem; }",
        ".main, .foot { width: min(60rem, 100% - 2rem); margin: 1.75rem auto 0; }",
    ), "nav"),
)  # fmt: skip
