#!/usr/bin/env bash
# System libraries that the tests' tools need (Playwright's driver, llama.cpp) and that a minimal Linux may lack.
set -euo pipefail
missing=()
for pair in libatomic.so.1:libatomic1 libgomp.so.1:libgomp1; do
  ldconfig -p | grep -q "${pair%%:*} " || missing+=("${pair##*:}")
done
[ ${#missing[@]} = 0 ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null; then
  echo "setup: installing ${missing[*]}"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    > .venv/libraries.log 2>&1 && exit 0
fi
echo "setup: the tests need ${missing[*]}; on Debian and Ubuntu run: apt-get install ${missing[*]}" >&2
exit 2
