#!/usr/bin/env bash
# Find Chromium's headless shell for rendering, or install it: PATH and the usual places, Playwright's download, apt
# when root. The full browser will not do: it draws no frames on command (docs/performance.md).
set -euo pipefail
cd "$(dirname "$0")/.."
# A shell counts only if it starts: a download may lack the system's libraries.
find_it() {
  local shell
  shell=$(.venv/bin/python -c 'from artifactscoder.render import chromium; print(chromium.find())' 2> /dev/null) &&
    "$shell" --version > /dev/null 2>&1
}
find_it && exit 0
echo "setup: no chromium-headless-shell on this machine; trying Playwright's download"
if timeout 300 .venv/bin/playwright install --only-shell chromium > .venv/chromium.log 2>&1 && find_it; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "setup: that failed (.venv/chromium.log); installing Debian's package"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >> .venv/chromium.log 2>&1 || true
  apt-get install -y -qq --no-install-recommends chromium-headless-shell fonts-dejavu-core fonts-liberation \
    >> .venv/chromium.log 2>&1 && find_it && exit 0
fi
echo "setup: no chromium-headless-shell could be found or installed; on Debian run apt-get install" \
  "chromium-headless-shell, elsewhere .venv/bin/playwright install --with-deps --only-shell chromium, or set CHROMIUM" \
  "to the path of one, and start again" >&2
exit 2
