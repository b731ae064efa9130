#!/usr/bin/env bash
# SFT and GRPO on one GPU with a model of random weights, as large as fits: `bench/gpu.sh --help`. No network, no model
# to download. `bench/gpu.sh --cpu` runs the same lines with a tiny model on a CPU: it shows that this script works.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
[ -d .venv/bin ] && export PATH="$root/.venv/bin:$PATH"
export PYTHONPATH="$root/workflow${PYTHONPATH:+:$PYTHONPATH}"
for package in torch verl transformers; do
  python -c "import importlib.util, sys; sys.exit(importlib.util.find_spec('$package') is None)" ||
    { echo "bench/gpu.sh: the package $package is not installed; run it in the image train, or after make setup" >&2; exit 2; }
done
exec python bench/gpu.py "$@"
