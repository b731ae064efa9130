"""Claims about what counts as a picture of a page, on pictures drawn here and on pages near the line."""

from __future__ import annotations

import asyncio
import io
import random

from PIL import Image, ImageDraw

from artifactscoder.render import RenderOptions, RenderPool
from artifactscoder.render.judgement import is_flat, is_noise
from artifactscoder.render.pixels import measure

SIZE = (640, 400)
OPTIONS = RenderOptions()


def encoded(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.convert("RGB").save(out, "JPEG", quality=80)
    return out.getvalue()


def random_pixels(mode: str, size: tuple[int, int] = SIZE) -> Image.Image:
    rng = random.Random(1)
    return Image.frombytes(mode, size, rng.randbytes(size[0] * size[1] * len(mode)))


def test_random_pixels_are_noise_also_in_a_frame_and_in_black_and_white() -> None:
    framed = Image.new("RGB", SIZE, "white")
    framed.paste(random_pixels("RGB", (560, 360)), (20, 20))
    coarse = random_pixels("RGB", (160, 100)).resize(SIZE, Image.Resampling.NEAREST)
    black_and_white = random_pixels("L").point(lambda level: 255 * (level > 127))
    for picture in (random_pixels("RGB"), random_pixels("L"), black_and_white, framed, coarse):
        assert is_noise(measure(encoded(picture)), OPTIONS)


def test_small_text_and_dithering_are_as_restless_but_no_noise() -> None:
    text = Image.new("RGB", SIZE, "white")
    draw, rng = ImageDraw.Draw(text), random.Random(2)
    for y in range(0, SIZE[1], 9):
        draw.text((0, y), "".join(rng.choice("MWHN#@%&8B") for _ in range(120)), fill="black")
    tones = Image.linear_gradient("L").resize(SIZE)
    for picture in (text, tones.convert("1")):
        pixels = measure(encoded(picture))
        assert pixels.edges > 0.2 and pixels.order > 0.25
        assert not is_noise(pixels, RenderOptions(noise_edges=0.2))


def test_a_gradient_shows_nothing_and_the_faintest_text_something() -> None:
    gradient = Image.linear_gradient("L").resize(SIZE)
    assert is_flat(measure(encoded(gradient)), [(0, 0, *SIZE)], OPTIONS)
    faint = Image.new("RGB", SIZE, "#f5f5f5")
    ImageDraw.Draw(faint).text((50, 50), "faint", fill="white", font_size=40)
    assert not is_flat(measure(encoded(faint)), [(50, 50, 200, 100)], OPTIONS)
    assert is_flat(measure(encoded(faint)), [], OPTIONS)


PAGES = {
    "<style>body{min-height:99vh;background:linear-gradient(#67e,#74a)}</style><div id=root></div>": "no_content",
    "<p>text</p><div style='position:fixed;inset:0;background:linear-gradient(#223,#445)'></div>": "blank",
    "<img src=a.png alt='' style='width:100%;height:90vh'>": "no_content",
    "<input>": "ok",
    "<p style='color:#eee'>faint</p>": "ok",
    "<p style='color:#fff'>white</p>": "blank",
    "<button>Start</button>": "ok",
}


def test_pages_near_the_line() -> None:
    async def reasons() -> list[str]:
        async with RenderPool(RenderOptions(width=800, height=600, timeout_s=15), browsers=1) as pool:
            return [(await pool.render(html)).verdict.reason for html in PAGES]

    assert dict(zip(PAGES, asyncio.run(reasons()), strict=True)) == PAGES
