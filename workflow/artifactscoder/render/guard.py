"""What a page may do, and the record of what it tried.

In: the events of the page's session. Out: the answers to them, and `Deeds`. The only requests that are answered are
those for the page's own document and for libraries that the mirror holds, both from memory; `data:` and `blob:` pass;
all else is refused and counted. Dialogs are dismissed, workers let loose up to a number, windows closed. What comes in
floods is cut off before it costs more than it tells.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from artifactscoder.render import scripts
from artifactscoder.render.cdp import Browser
from artifactscoder.render.mirror import Answer, Mirror, Refusal
from artifactscoder.render.page import MAX_LISTED

SERVINGS = 4
"""How often a page gets its document: reloading is allowed, reloading for ever is not."""
MAX_DIALOGS = 100
MAX_PAUSES = 100
MAX_MESSAGES = 500
MAX_WORKERS = 16
MAX_NOTED = 200
LINE = 300
MAX_MIRRORED = 500
"""How often a page gets a file from the mirror: one that asks for ever is refused."""
OPEN_TO_ALL = (
    ("access-control-allow-origin", "*"),
    ("cross-origin-resource-policy", "cross-origin"),
    ("timing-allow-origin", "*"),
    ("cache-control", "public, max-age=31536000"),
)
"""What the CDNs say too: fonts, modules and tags with `crossorigin` need it."""


@dataclass
class Deeds:
    """What the page tried or failed to do."""

    script_errors: list[str] = field(default_factory=list)
    console_errors: list[str] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    refused_count: int = 0
    mirrored: dict[str, str] = field(default_factory=dict)
    """What was served for which URL."""
    mirrored_count: int = 0
    dialogs: int = 0
    downloads: int = 0
    navigations: int = 0
    popups: int = 0
    budget_expired: bool = False

    def note(self, kind: list[str], text: str) -> None:
        """Keep the first line of a message, once."""
        line = next((part.strip() for part in text.splitlines() if part.strip()), "")[:LINE]
        if line and line not in kind and len(kind) < MAX_LISTED:
            kind.append(line)

    def refuse(self, url: str) -> None:
        """Count a refused request."""
        self.refused_count += 1
        if len(self.refused) < MAX_NOTED:
            self.refused.add(url[:LINE])

    def serve(self, url: str, served: str) -> None:
        """Count a request that the mirror answered."""
        self.mirrored_count += 1
        if len(self.mirrored) < MAX_NOTED:
            self.mirrored[url[:LINE]] = served[:LINE]


class Guard:
    """Stands at one page's session."""

    def __init__(self, browser: Browser) -> None:
        self.deeds = Deeds()
        self.workers: list[str] = []
        """Their sessions."""
        self._browser = browser
        self._session = self._target = ""
        self._url = self._document = ""
        self._mirror: Mirror | None = None
        self._served = self._loads = self._pauses = self._messages = 0
        self._unparsed = False

    def _post(self, method: str, params: dict[str, Any] | None = None) -> asyncio.Future[dict[str, Any]]:
        return self._browser.post(method, params, self._session)

    def enable(self, session: str, target: str) -> list[asyncio.Future[dict[str, Any]]]:
        """Ask for the events of the tab, before the page is loaded."""
        self._session, self._target = session, target
        return [
            self._post("Fetch.enable", {"patterns": [{"urlPattern": "*"}]}),
            self._post("Target.setAutoAttach", {"autoAttach": True, "waitForDebuggerOnStart": True, "flatten": True}),
            self._post("Page.enable"),
            self._post("Network.enable", {"maxTotalBufferSize": 0, "maxResourceBufferSize": 0}),
            self._post("Runtime.enable"),
            self._post("Debugger.enable"),
            # A handler that returns true hides an uncaught exception from Runtime, not from the debugger.
            self._post("Debugger.setPauseOnExceptions", {"state": "uncaught"}),
            # The page's own `debugger` statements do not stop it.
            self._post("Debugger.setBreakpointsActive", {"active": False}),
        ]

    def serve(self, url: str, document: str, mirror: Mirror | None = None) -> None:
        """Answer requests for this address with the page, given in base64, and those for libraries from the mirror."""
        self._url, self._document, self._mirror = url, document, mirror

    def on(self, method: str, params: dict[str, Any]) -> None:
        """Answer an event of the session."""
        handler = _HANDLERS.get(method)
        if handler is not None:
            handler(self, params)

    def conclude(self) -> Deeds:
        """What the page did, complete."""
        errors = self.deeds.script_errors
        if self._unparsed and not any("SyntaxError" in error for error in errors):
            # The page hid the message, but not from the parser.
            self.deeds.note(errors, "SyntaxError: a script cannot be parsed")
        return self.deeds

    def _on_request(self, params: dict[str, Any]) -> None:
        url, identity = params["request"]["url"], {"requestId": params["requestId"]}
        is_document = params.get("resourceType") == "Document"
        own = is_document and params.get("frameId") == self._target
        if own and self._served:
            self.deeds.navigations += 1
        if own and url == self._url and params["request"]["method"] == "GET" and self._served < SERVINGS:
            self._served += 1
            header = {"name": "content-type", "value": "text/html; charset=utf-8"}
            answer = {"responseCode": 200, "responseHeaders": [header], "body": self._document}
            self._post("Fetch.fulfillRequest", identity | answer)
        elif not is_document and isinstance(found := self._mirrored(url), Answer):
            self.deeds.serve(url, found.served)
            named = [("content-type", found.type), *OPEN_TO_ALL]
            headers = [{"name": name, "value": value} for name, value in named]
            answer = {"responseCode": 200, "responseHeaders": headers, "body": found.body}
            self._post("Fetch.fulfillRequest", identity | answer)
        elif url.startswith(("data:", "blob:")):
            self._post("Fetch.continueRequest", identity)
        else:
            if url != self._url + "favicon.ico":
                why = None if is_document else found
                self.deeds.refuse(f"{url[: LINE - 40]} ({why.reason})" if isinstance(why, Refusal) else url)
            # An aborted navigation leaves the page as it is; one that is blocked would replace it.
            error = "Aborted" if is_document else "BlockedByClient"
            self._post("Fetch.failRequest", identity | {"errorReason": error})

    def _mirrored(self, url: str) -> Answer | Refusal | None:
        if self._mirror is None or self.deeds.mirrored_count >= MAX_MIRRORED:
            return None
        return self._mirror.answer(url)

    def _on_socket(self, params: dict[str, Any]) -> None:
        """Sockets are not intercepted; the dead proxy refuses them."""
        self.deeds.refuse(params["url"])

    def _on_navigated(self, params: dict[str, Any]) -> None:
        if not params["frame"].get("parentId"):
            self._loads += 1
            if not params["frame"]["url"].startswith(self._url) and self._loads > 1:
                self.deeds.navigations += 1

    def _on_unparsed(self, params: dict[str, Any]) -> None:
        """A script of the page that is no script; those given to eval have no address, and may be caught."""
        if params["url"] == self._url:
            self._unparsed = True

    def _on_dialog(self, params: dict[str, Any]) -> None:
        # Those that come before the script is stopped are not counted: their number depends on the machine.
        self.deeds.dialogs = min(self.deeds.dialogs + 1, MAX_DIALOGS)
        self._post("Page.handleJavaScriptDialog", {"accept": params["type"] == "beforeunload"})
        if self.deeds.dialogs == MAX_DIALOGS:
            self._post("Runtime.terminateExecution")

    def _on_pause(self, params: dict[str, Any]) -> None:
        self._pauses += 1
        # A rejected promise may still be caught; those that are not are reported by Runtime.
        if params["reason"] == "exception":
            self.deeds.note(self.deeds.script_errors, _described(params.get("data", {})))
        self._post("Debugger.resume")
        if self._pauses == MAX_PAUSES:
            self._post("Debugger.disable")

    def _on_exception(self, params: dict[str, Any]) -> None:
        self._count_message()
        details = params["exceptionDetails"]
        thrown = details.get("exception", {})
        self.deeds.note(self.deeds.script_errors, _described(thrown) or details.get("text", ""))

    def _on_console(self, params: dict[str, Any]) -> None:
        self._count_message()
        if params["type"] in ("error", "assert"):
            said = " ".join(_described(argument) for argument in params["args"])
            self.deeds.note(self.deeds.console_errors, said)

    def _count_message(self) -> None:
        """Stop listening to a page that floods its console."""
        self._messages += 1
        if self._messages == MAX_MESSAGES:
            self._post("Runtime.disable")

    def _on_child(self, params: dict[str, Any]) -> None:
        """Workers stand still until they are told to run; more than 16 of them stay so."""
        made, session = params["targetInfo"], params["sessionId"]
        if made["type"] == "page":
            self._browser.post("Target.closeTarget", {"targetId": made["targetId"]})
            return
        if made["type"] in ("service_worker", "shared_worker") or len(self.workers) == MAX_WORKERS:
            return
        self.workers.append(session)
        self._browser.listen(session, self._on_worker)
        self._browser.post("Runtime.enable", session=session)
        self._browser.post("Runtime.evaluate", {"expression": scripts.DETERMINISM}, session)
        self._browser.post("Runtime.runIfWaitingForDebugger", session=session)

    def _on_worker(self, method: str, params: dict[str, Any]) -> None:
        if method == "Runtime.exceptionThrown" and self._messages < MAX_MESSAGES:
            self._on_exception(params)

    def _on_download(self, params: dict[str, Any]) -> None:
        self.deeds.downloads += 1

    def _on_window(self, params: dict[str, Any]) -> None:
        self.deeds.popups += 1


_HANDLERS = {
    "Fetch.requestPaused": Guard._on_request,
    "Network.webSocketCreated": Guard._on_socket,
    "Network.webTransportCreated": Guard._on_socket,
    "Page.frameNavigated": Guard._on_navigated,
    "Page.javascriptDialogOpening": Guard._on_dialog,
    "Page.downloadWillBegin": Guard._on_download,
    "Page.windowOpen": Guard._on_window,
    "Debugger.scriptFailedToParse": Guard._on_unparsed,
    "Debugger.paused": Guard._on_pause,
    "Runtime.exceptionThrown": Guard._on_exception,
    "Runtime.consoleAPICalled": Guard._on_console,
    "Target.attachedToTarget": Guard._on_child,
}


def _described(value: dict[str, Any]) -> str:
    """A thrown or printed value in words: an error's message without its stack, a plain value as it is."""
    if value.get("type") == "undefined" or value.get("subtype") == "null":
        return value.get("subtype", "undefined")
    text = str(value.get("description") or value.get("value", ""))
    return next((line for line in text.splitlines() if line.strip()), "")
