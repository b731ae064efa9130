#!/usr/bin/env bash
# Make .venv with the roles that are named (data, render, ...), from their locks: envs/install.sh workflow data render
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-}
if [ -z "$python" ]; then
  for candidate in python3.12 python3.11 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2> /dev/null; then
      python=$candidate
      break
    fi
  done
fi
if [ -z "$python" ]; then
  echo "setup: Python 3.11, 3.12 or 3.13 is needed; install it, or name it: make demo PYTHON=/path/to/python3.12" >&2
  exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2> /dev/null; then
  echo "setup: $python has no venv; on Debian and Ubuntu run: apt-get install python3-venv" >&2
  exit 2
fi
locks=()
for role in "$@"; do locks+=(-r "envs/$role.txt"); done
# What is installed already is seen by the locks' digest.
stamp=.venv/installed-$(for role in "$@"; do cat "envs/$role.txt"; done | cat - pyproject.toml | sha256sum | cut -c1-16)
[ -e "$stamp" ] && exit 0
start=$SECONDS
[ -x .venv/bin/python ] || "$python" -m venv .venv
echo "setup: installing $* into .venv (a few minutes, about 2 GB)"
# verl says that it wants a Python below 3.13, for the sake of servers that are not in these locks; it runs on 3.13.
pip=(.venv/bin/pip install -qq --disable-pip-version-check --no-compile --ignore-requires-python)
"${pip[@]}" "${locks[@]}"
"${pip[@]}" --no-deps --editable .
touch "$stamp"
echo "setup: installed in $((SECONDS - start)) s"
