"""Folders to the Hugging Face Hub, by `huggingface_hub`; the token comes from the environment and goes nowhere else."""

from __future__ import annotations

import os
import re
from pathlib import Path

from artifactscoder.errors import UserError

TOKEN = "HF_TOKEN"


def must_be_able(to: str) -> str:
    """The token. Raises UserError where there is none, or nobody to push to."""
    if not to:
        raise UserError("say to whom it is pushed, by --to: a user or an organisation of the Hugging Face Hub")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", to):
        raise UserError(f"'{to}' is no name of a user or an organisation; give one without a slash")
    token = os.environ.get(TOKEN, "").strip()
    if not token:
        raise UserError(f"the environment variable {TOKEN} is not set; put a token with the right to write into it")
    return token


def push(folder: Path, name: str, token: str, public: bool = False) -> str:
    """Upload a folder as the dataset or model `name`; returns its address. What is there already is not sent again."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled

    kind = "dataset" if folder.name.startswith("dataset-") else "model"
    api = HfApi(token=token)
    try:
        url = api.create_repo(name, repo_type=kind, private=not public, exist_ok=True)
        api.upload_folder(repo_id=name, repo_type=kind, folder_path=folder, commit_message=f"{folder.name} of a run")
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, OSError, ValueError) as error:
        said = " ".join(str(error).split())[:300].replace(token, "***")
        raise UserError(
            f"{folder} could not be pushed to {name} ({type(error).__name__}: {said}); look at {TOKEN}'s rights and "
            "the network, then push again: what has arrived is not sent twice"
        ) from None
    return str(url)
