#!/usr/bin/env bash
# Resolve envs/*.in together and write one lock a role, envs/*.txt, so that all roles fit into one environment.
# For Python 3.11 to 3.13 on Linux. Needs uv. Where packages come from is pip's and uv's own configuration.
set -euo pipefail
cd "$(dirname "$0")"
all=$(mktemp)
trap 'rm -f "$all"' EXIT
options=(--quiet --python-version 3.11 --python-platform x86_64-manylinux_2_28 --index-strategy unsafe-best-match --no-emit-index-url)
options+=(--no-emit-find-links --custom-compile-command "make lock" --upgrade)
uv pip compile "${options[@]}" ./*.in --output-file "$all" > /dev/null
for role in *.in; do
  uv pip compile "${options[@]}" --constraint "$all" "$role" --output-file "${role%.in}.txt" > /dev/null
  # A build that is for CPUs only carries a suffix; the lock names the release, the machine decides on the build.
  sed -i -E 's/^(torch==[0-9.]+)\+cpu/\1/; s/^(    # +)-c .*tmp\.[A-Za-z0-9]+$/\1(the other roles)/; /-c \/tmp/d' "${role%.in}.txt"
done
