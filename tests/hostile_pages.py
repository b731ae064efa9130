"""Pages that mean harm, and the canaries that tell whether they did.

The pages stand in tests/hostile, a folder for each kind of harm. What they are given in place of `{{NAME}}` are the
addresses of a `Canary`, which notes whatever reaches it by TCP or UDP, and of a `Cage` of files, whose red colour on
a picture tells that one was read.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import urllib.parse
from pathlib import Path

from PIL import Image

HOSTILE = Path(__file__).parent / "hostile"
KINDS = ("network", "files", "hang", "busy", "memory", "antics")

ANSWERS = {
    "js": ("text/javascript", "export {}"),
    "css": ("text/css", "h6 { color: red }"),
    "svg": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
    "json": ("application/json", "{}"),
    "xsl": ("text/xsl", "<a/>"),
}


class Canary:
    """Listens on one loopback port for TCP and UDP, answers HTTP with what was asked for, and notes all of it."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self._tcp = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._tcp.getsockname()[1]
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.bind(("127.0.0.1", self.port))
        for work in (self._accept, self._receive):
            threading.Thread(target=work, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._tcp.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            number = len(self.heard)
            self.heard.append("tcp")
            connection.settimeout(2)
            line = connection.recv(4096).decode("latin-1").partition("\r\n")[0]
            self.heard[number] = f"tcp {line[:200]}"
            path = line.split(" ")[1] if line.count(" ") >= 2 else ""
            kind, body = ANSWERS.get(path.partition("?")[0].rpartition(".")[2], ("text/html", "<p>canary</p>"))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
            connection.sendall(f"{head}access-control-allow-origin: *\r\n\r\n{body}".encode())

    def _receive(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, _ = self._udp.recvfrom(4096)
                self.heard.append(f"udp {data[:16].hex()}")

    def close(self) -> None:
        for listener in (self._tcp, self._udp):
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()


class Cage:
    """A folder of files that nobody may read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        red = "body, p, h1 { background: #ff0000 !important }"
        (folder / "secret.html").write_text('<body style="background:#ff0000">TOPSECRET')
        (folder / "secret.css").write_text(red)
        (folder / "secret.js").write_text("globalThis.document && (document.body.style.background = '#ff0000')")
        Image.new("RGB", (50, 50), (255, 0, 0)).save(folder / "secret.png")


def page(name: str, canary: Canary, cage: Cage) -> str:
    """The hostile page of this name (its path below tests/hostile), given these victims."""
    font = next(Path("/usr/share/fonts").rglob("*.ttf"), cage.folder / "none.ttf")
    given = {
        "CANARY": f"http://127.0.0.1:{canary.port}",
        "SOCKET": f"ws://127.0.0.1:{canary.port}",
        "PORT": str(canary.port),
        "FOLDER": cage.folder.as_uri() + "/",
        "FILE": (cage.folder / "secret.html").as_uri(),
        "SHEET": (cage.folder / "secret.css").as_uri(),
        "SCRIPT": (cage.folder / "secret.js").as_uri(),
        "IMAGE": (cage.folder / "secret.png").as_uri(),
        "FONT": font.as_uri(),
    }
    text = (HOSTILE / f"{name}.html").read_text()
    for word, value in given.items():
        text = text.replace("{{" + word + "}}", value)
    return text


def names(*kinds: str) -> list[str]:
    """The names of all pages of these kinds; those of no kind are in "."."""
    found = [path for kind in kinds for path in sorted((HOSTILE / kind).glob("*.html"))]
    return [str(path.relative_to(HOSTILE).with_suffix("")) for path in found]


def odd_documents() -> dict[str, str]:
    """Documents that are too large or too strange to stand in files."""
    return {
        "empty": "",
        "no_tags": "Sure! Here is your HTML page:\n```html\n<div>hello</div>\n```",
        "nul_and_controls": "<h1>Odd \0 document</h1>"
        + "".join(map(chr, range(32)))
        + "<p>\ufeff\u202e\ufffe\uffff</p>",
        "lone_surrogates": "<h1>Odd document \ud800\udfff \udc00</h1><script>document.title = '\ud83d'</script>",
        "mistaken_encoding": '<meta charset="utf-16"><h1>Odd document</h1>' + bytes(range(256)).decode("latin-1"),
        "long_attribute": f'<h1 title="{"x" * 10_000_000}" data-a="{"<" * 1_000_000}">Odd document</h1>',
        "many_attributes": f"<h1 {' '.join(f'a{i}=1' for i in range(100_000))}>Odd document</h1>",
        "deep_source": "<h1>Odd document</h1>" + "<div><b><i>" * 50_000 + "bottom",
        "unclosed": "<h1>Odd document</h1><table><tr><td><select><option><svg><title><style>p{" * 2000,
        "long_script": f"<h1>Odd document</h1><script>const a = '{'x' * 5_000_000}'; {'a;' * 500_000}</script>",
        "entities": "<h1>Odd document</h1>"
        + "&lt;&#x110000;&#0;&notanentity;&CounterClockwiseContourIntegral;" * 10_000,
    }


def large_documents() -> dict[str, str]:
    """Documents of tens of megabytes."""
    return {
        "text_50_mb": "<h1>Odd document</h1>" + "some text " * 5_000_000,
        "one_word_50_mb": "<h1>Odd document</h1>" + "x" * 50_000_000,
        "million_elements": "<h1>Odd document</h1>" + "<i>x</i>" * 1_000_000,
        "comment_50_mb": "<h1>Odd document</h1><!--" + "x" * 50_000_000 + "-->",
        "data_url_20_mb": "<h1>Odd document</h1><img src='data:image/png;base64," + "A" * 20_000_000 + "'>",
        "text_120_mb": "<h1>Odd document</h1>" + "x " * 60_000_000,
    }


def red_pixels(picture: bytes) -> int:
    """How much of a picture has the colour of the caged files."""
    with Image.open(io.BytesIO(picture)) as image:
        red, green, blue = image.convert("RGB").split()
    masks = (red.point(lambda v: v > 200 and 255), green.point(lambda v: v < 50 and 255))
    both = Image.composite(masks[0], Image.new("L", masks[0].size), masks[1])
    return Image.composite(both, Image.new("L", both.size), blue.point(lambda v: v < 50 and 255)).histogram()[255]


class PageServer:
    """Serves one page without any protection at http://127.0.0.1, which a browser trusts like https.

    A request with `?script=...` is answered with that script: a service worker needs one of its own origin.
    """

    def __init__(self, html: str) -> None:
        self._html = html
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError, IndexError):
            connection.settimeout(2)
            path = connection.recv(8192).decode("latin-1").split(" ")[1]
            query = urllib.parse.parse_qs(urllib.parse.urlsplit(path).query)
            kind, body = ("text/javascript", query["script"][0]) if "script" in query else ("text/html", self._html)
            data = body.encode()
            head = f"HTTP/1.1 200 OK\r\ncontent-type: {kind}; charset=utf-8\r\ncontent-length: {len(data)}\r\n"
            connection.sendall(f"{head}connection: close\r\n\r\n".encode() + data)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
