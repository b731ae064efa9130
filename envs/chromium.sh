#!/usr/bin/env bash
# Find a Chromium for rendering, or install one: PATH and the usual places, Playwright's own download, apt when root.
set -euo pipefail
cd "$(dirname "$0")/.."
find_it() { .venv/bin/python -c 'from artifactscoder.render import chromium; print(chromium.find())' 2> /dev/null; }
find_it > /dev/null && exit 0
echo "setup: no Chromium on this machine; trying Playwright's download"
if timeout 300 .venv/bin/playwright install --only-shell chromium > .venv/chromium.log 2>&1 && find_it > /dev/null; then
  exit 0
fi
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "setup: that failed (.venv/chromium.log); installing Debian's package"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq >> .venv/chromium.log 2>&1 || true
  for package in chromium-headless-shell chromium; do
    apt-get install -y -qq --no-install-recommends "$package" fonts-dejavu-core fonts-liberation \
      >> .venv/chromium.log 2>&1 && find_it > /dev/null && exit 0
  done
fi
echo "setup: no Chromium could be found or installed; install the package chromium (Debian, Ubuntu: apt-get install" \
  "chromium), or set CHROMIUM to the path of one, and start again" >&2
exit 2
