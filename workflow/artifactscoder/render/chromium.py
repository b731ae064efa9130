"""Where the browser is and how it is started.

In: the environment. Out: the path of a headless shell of Chromium and the list of its flags. A full browser is
not used: its headless mode needs 3.7 times the processor time for a page and draws frames by its own clock.
The flags do four things: no request leaves the process (a proxy that nobody listens on and a resolver that
knows no name, beneath the interception of every request), no page gets a process or a window of its own,
nothing runs in the background, and pictures do not depend on the machine.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from artifactscoder.errors import UserError

SHELLS = ("chromium-headless-shell", "chrome-headless-shell", "headless_shell")
PACKAGED_SHELL = Path("/usr/lib/chromium/chromium-headless-shell")

DISABLED_FEATURES = (
    "BackForwardCache",
    "InterestFeedContentSuggestions",
    # One process for all frames of a page: one session then sees every request, and a page of a hundred
    # frames is not a hundred processes. Nothing foreign is ever loaded, so nothing needs the isolation.
    "IsolateOrigins",
    "IsolateSandboxedIframes",
    "site-per-process",
    "LazyFrameLoading",
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    "Translate",
)
OFFLINE_FLAGS = (
    "--proxy-server=http://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--dns-prefetch-disable",
    "--disable-quic",
    "--no-pings",
)
QUIET_FLAGS = (
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-client-side-phishing-detection",
    "--disable-component-update",
    "--disable-crash-reporter",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-search-engine-choice-screen",
    "--disable-sync",
    "--metrics-recording-only",
    "--no-default-browser-check",
    "--no-first-run",
    "--noerrdialogs",
    "--password-store=basic",
    "--use-mock-keychain",
)
PAGE_FLAGS = (
    "--block-new-web-contents",
    "--deny-permission-prompts",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--disable-ipc-flooding-protection",
    "--disable-renderer-backgrounding",
    "--mute-audio",
)
# Frames are drawn on command only, each of them to its end.
FRAME_FLAGS = (
    "--enable-begin-frame-control",
    "--run-all-compositor-stages-before-draw",
    "--disable-new-content-rendering-timeout",
    "--disable-checker-imaging",
    "--disable-image-animation-resync",
    "--disable-threaded-animation",
    "--disable-threaded-scrolling",
)
PICTURE_FLAGS = (
    "--disable-gpu",
    "--disable-lcd-text",
    "--font-render-hinting=none",
    "--force-color-profile=srgb",
    "--force-device-scale-factor=1",
    "--hide-scrollbars",
    "--lang=en-US",
)
SHARED_MEMORY_NEEDED = 1 << 30


def find() -> Path:
    """The headless shell to use: CHROMIUM, then the PATH, Debian's directory, Playwright's downloads.

    A full browser will not do: only the shell draws frames on command, and it needs a quarter of the processor
    time. Raises UserError if there is none.
    """
    named = os.environ.get("CHROMIUM")
    if named:
        found = shutil.which(named)
        if not found:
            raise UserError(f"CHROMIUM names {named}, which is no program: unset it or set it to a headless shell")
        return Path(found)
    for name in SHELLS:
        if found := shutil.which(name):
            return Path(found)
    if os.access(PACKAGED_SHELL, os.X_OK):
        return PACKAGED_SHELL
    if downloaded := _downloaded():
        return downloaded
    raise UserError(
        "No headless shell of Chromium was found: install one (Debian: apt install chromium-headless-shell; "
        "elsewhere: playwright install --only-shell chromium) or set CHROMIUM to the path of one"
    )


def _downloaded() -> Path | None:
    """Playwright's newest headless shell."""
    root = Path(os.environ.get("PLAYWRIGHT_BROWSERS_PATH") or Path.home() / ".cache/ms-playwright")
    folders = root.glob("chromium_headless_shell-*")
    for folder in sorted(folders, key=lambda path: int(re.sub(r"\D", "", path.name) or 0), reverse=True):
        for program in SHELLS:
            for path in sorted(folder.glob(f"chrome*/{program}")):
                if os.access(path, os.X_OK):
                    return path
    return None


def flags(profile: Path, sandbox: bool) -> list[str]:
    """The arguments of a browser that keeps its profile in this directory and is led over two pipes."""
    chosen = [
        "--headless",
        # No port is opened: a page that reaches loopback could otherwise lead the browser.
        "--remote-debugging-pipe",
        f"--user-data-dir={profile}",
        f"--disable-features={','.join(DISABLED_FEATURES)}",
        *OFFLINE_FLAGS,
        *QUIET_FLAGS,
        *PAGE_FLAGS,
        *FRAME_FLAGS,
        *PICTURE_FLAGS,
    ]
    if not sandbox:
        chosen.append("--no-sandbox")
    if not _shared_memory_is_large():
        chosen.append("--disable-dev-shm-usage")
    return [*chosen, "about:blank"]


def _shared_memory_is_large() -> bool:
    """Whether /dev/shm holds a page's surfaces; containers often give it 64 MB, and then pages crash."""
    try:
        state = os.statvfs("/dev/shm")
    except OSError:
        return False
    return state.f_bavail * state.f_frsize >= SHARED_MEMORY_NEEDED


def environment(home: Path, marker: str) -> dict[str, str]:
    """The browser's environment: no secrets of the owner, one time zone, one language, and a marker."""
    kept = ("PATH", "LD_LIBRARY_PATH", "FONTCONFIG_PATH", "FONTCONFIG_FILE", "XDG_DATA_DIRS")
    variables = {name: os.environ[name] for name in kept if name in os.environ}
    # What it leaves in its temporary folder goes with its profile.
    own = {"HOME": str(home), "TMPDIR": str(home), "TZ": "UTC", "LANG": "en_US.UTF-8", "ARTIFACTSCODER_BROWSER": marker}
    return variables | own
