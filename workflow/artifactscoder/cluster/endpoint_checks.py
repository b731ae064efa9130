"""Whether the endpoints of the roles answer, and in words why not. No key is ever shown."""

from __future__ import annotations

import json
import os
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from artifactscoder.cluster.checks import Finding, fail, ok, used, warn
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint

TIMEOUT_S = 10.0


def endpoints(config: Config, profile: Profile) -> Iterator[Finding]:
    """Every endpoint in use, asked at once from this machine for its models."""
    asked = [(name, settings, url) for name, settings in used(config).items() for url in settings.urls]
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        yield from pool.map(lambda item: endpoint(*item), asked)


def endpoint(name: str, settings: Endpoint, url: str) -> Finding:
    """GET {url}/models with the key, without a proxy, as the steps ask too."""
    what, place = "endpoint", f"{name} at {url}"
    if settings.kind == "procedural":
        return ok(what, f"{name}: procedural, built in, needs nothing")
    request = urllib.request.Request(url + "/models")
    if settings.key_env:
        key = os.environ.get(settings.key_env, "")
        if not (key.isascii() and key.isprintable()):
            words = f"{name}: the key in {settings.key_env} holds characters that no header may have"
            return fail(what, words, f"export {settings.key_env} again, without line ends or quotes")
        request.add_unredirected_header("Authorization", f"Bearer {key}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    start = time.monotonic()
    try:
        with opener.open(request, timeout=TIMEOUT_S) as response:
            body = response.read(4 << 20)
    except urllib.error.HTTPError as error:
        return _status(what, place, settings, error.code)
    except (OSError, ValueError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        return fail(what, f"{place} {_in_words(reason)}", f"start the server, or correct endpoints.{name}.url")
    took = f"{place} answers in {1000 * (time.monotonic() - start):.0f} ms"
    try:
        served = [row["id"] for row in json.loads(body)["data"]]
    except (ValueError, LookupError, TypeError):
        return warn(what, f"{took}, but its /models is no list")
    if settings.model not in served:
        return warn(what, f"{took}, but lists no model {settings.model}; it lists {', '.join(served[:3]) or 'none'}")
    return ok(what, f"{took} and serves {settings.model}")


def _status(what: str, place: str, settings: Endpoint, code: int) -> Finding:
    if code in (401, 403):
        key = f"the key in {settings.key_env}" if settings.key_env else "a request without a key"
        remedy = f"correct {settings.key_env}" if settings.key_env else "name the key's variable in `key_env`"
        return fail(what, f"{place} refuses {key} (HTTP {code})", remedy)
    if code in (404, 405):
        return warn(what, f"{place} answers, but has no /models (HTTP {code}); its model cannot be checked")
    if code == 429:
        return warn(what, f"{place} answers, but is at its limit of requests (HTTP 429)")
    return fail(what, f"{place} answers with HTTP {code}", "look into the server's log, or correct the `url`")


def _in_words(reason: object) -> str:
    if isinstance(reason, TimeoutError):
        return f"has not answered in {TIMEOUT_S:.0f} s"
    if isinstance(reason, ConnectionRefusedError):
        return "refuses the connection: nothing listens there"
    if isinstance(reason, socket.gaierror):
        return "has a host name that is not known here"
    if isinstance(reason, ssl.SSLError):
        return f"has no certificate that is trusted here ({reason.reason or 'TLS'})"
    if isinstance(reason, OSError) and reason.strerror:
        return f"cannot be reached ({reason.strerror})"
    return f"does not answer in HTTP ({type(reason).__name__})"
