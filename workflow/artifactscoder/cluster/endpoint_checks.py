"""Whether the endpoints of the roles answer, and in words why not. No key is ever shown.

Of a server that the jobs start themselves it is looked at whether its model and its program are there.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from artifactscoder.cluster import images as containers
from artifactscoder.cluster.checks import Finding, fail, folder, gb, ok, used, warn
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.llm.hosted import STARTERS

TIMEOUT_S = 10.0
PROGRAM_S = 120.0  # an image that is opened for the first time, vLLM's import
GGUF = b"GGUF"


def endpoints(config: Config, profile: Profile) -> Iterator[Finding]:
    """Every endpoint in use, asked at once from this machine for its models."""
    for name, settings in used(config).items():
        if settings.hosted:
            yield hosted_model(name, settings)
            yield hosted_program(name, settings, config, profile)
    if config.eval.serves:
        own = Endpoint(kind="vllm", model="own", path="-", gpus=config.eval.gpus)
        yield hosted_program("eval.engine", own, config, profile, "set eval.engine: transformers")
    ways = [(name, settings) for name, settings in used(config).items() if not settings.hosted]
    asked = [(name, settings, url) for name, settings in ways for url in settings.urls]
    try:
        config.judge_of_grpo()
    except UserError as error:
        yield warn("endpoint", str(error))
    for words in blind(config):
        yield warn("endpoint", words, "give the vision judge an endpoint of a model that sees, with vision: true")
    with ThreadPoolExecutor(max(1, len(asked))) as pool:
        yield from pool.map(lambda item: endpoint(*item), asked)


def blind(config: Config) -> Iterator[str]:
    """What judges that are sent no picture judge by, in words."""
    for name in config.blind_judges:
        yield (
            f"'{name}' judges checklists without `vision: true`: it is sent no picture of a page, and goes by code and "
            "measurements alone"
        )


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


def hosted_model(name: str, settings: Endpoint) -> Finding:
    """Whether what a hosted server loads is there and whole."""
    what, path = "endpoint", Path(settings.path)
    remedy = f"correct endpoints.{name}.path"
    if settings.kind == "llamacpp":
        try:
            with open(path, "rb") as file:
                magic = file.read(len(GGUF))
        except OSError as error:
            return fail(what, f"{name}: {path} cannot be read ({error.strerror})", remedy)
        if magic != GGUF:
            return fail(what, f"{name}: {path} is no GGUF file", f"{remedy}; convert_hf_to_gguf.py makes one")
        return ok(what, f"{name}: {path}, {gb(path.stat().st_size)}")
    if not path.exists() and settings.path[:1] not in "/.~":
        return warn(what, f"{name}: no folder {path} here, so it is a name on the hub, which every node must reach")
    return folder(what, path, f"endpoints.{name}.path", f"download the model whole into {path}, or {remedy}")


def hosted_program(name: str, settings: Endpoint, config: Config, profile: Profile, remedy: str = "") -> Finding:
    """Whether a hosted server can be started: asked of the image where there is one, else of this environment."""
    what, place, prefix = "endpoint", "here", []
    words = shlex.split(settings.command) or STARTERS[settings.kind]
    module = {"llamacpp": "xllamacpp", "sglang": "sglang"}.get(settings.kind, "") if not settings.command else ""
    if profile.apptainer:
        image = containers.path(config, "serve")
        program = shutil.which("apptainer") or shutil.which("singularity")
        if program is None or not image.is_file():
            return warn(what, f"{name}: `{' '.join(words)}` cannot be looked for without the image of the role serve")
        place, prefix = f"in {image}", [program, "exec", str(image)]
        words = ["/opt/venv/bin/python", *words[1:]] if words[0] == sys.executable else words
    look = [*words[:1], "-c", f"import {module}"] if module else ["sh", "-c", f"command -v {shlex.quote(words[0])}"]
    own = {**os.environ, "PATH": f"{os.environ['PATH']}:{Path(sys.executable).parent}"}
    try:
        done = subprocess.run([*prefix, *look], capture_output=True, timeout=PROGRAM_S, env=own)
    except (OSError, subprocess.TimeoutExpired):
        return warn(what, f"{name}: could not look for `{' '.join(words)}` {place}")
    if done.returncode:
        lacking = f"the Python package {module}" if module else words[0]
        remedy = remedy or f"correct endpoints.{name}.command"
        return fail(what, f"{name}: {lacking} is not {place}", f"install it, or {remedy}")
    return ok(what, f"{name}: each job starts `{' '.join(words)}`, {settings.job_gpus} GPUs")


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
