"""Claims about images: named by what they are made of, found where a group shares them, built once, told in words."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from artifactscoder.cluster import images
from artifactscoder.config import Config
from artifactscoder.config.engines import ImageSettings
from artifactscoder.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
ROLES = ("data", "render", "train", "cpu")
APPTAINER = """#!/bin/sh
# Writes the image that it is asked for, and how it was asked.
for word; do before=$last; last=$word; done
echo "$@" >> {folder}/asked
echo "it speaks"
echo "it warns" >&2
[ -e {folder}/fails ] && exit 255
echo image > "$before"
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout of definitions and locks alone, an `apptainer` that builds at once, and no fetching of wheels."""
    root = tmp_path / "checkout"
    for folder in ("containers", "envs"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("*.sif", "wheels", ".*"))
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apptainer").write_text(APPTAINER.format(folder=tmp_path))
    (programs / "apptainer").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(images, "CHECKOUT", root)
    monkeypatch.setattr(images, "BOOKWORM_PYTHON", (2, 7))
    monkeypatch.chdir(root)
    return root


def with_images(config: Config, **settings: Any) -> Config:
    return config.model_copy(update={"images": ImageSettings(**settings)})


@pytest.mark.parametrize("role", ROLES)
def test_a_changed_lock_or_definition_is_another_image(configure, checkout: Path, role: str) -> None:
    names = [images.path(configure(), role)]
    assert names[0].parent == Path("containers") and names[0].name.startswith(f"{role}-")
    for file in ("envs/data.txt", f"containers/{role}.def", "containers/install.sh"):
        with open(checkout / file, "a") as text:
            text.write("\n# changed\n")
        names.append(images.path(configure(), role))
    assert len(set(names)) == 4


def test_another_mirror_is_another_image_of_the_roles_that_render(configure, checkout: Path) -> None:
    before = {role: images.path(configure(), role) for role in ROLES}
    with open(checkout / "envs/mirror/package-lock.json", "a") as lock:
        lock.write(" ")
    after = {role: images.path(configure(), role) for role in ROLES}
    assert {role for role in ROLES if after[role] != before[role]} == {"render", "train", "cpu"}


def test_a_lock_that_an_image_does_not_hold_leaves_its_name(configure, checkout: Path) -> None:
    before = images.path(configure(), "data")
    (checkout / "envs/train.txt").write_text("another==1\n")
    assert images.path(configure(), "data") == before


def test_a_prebuilt_image_is_taken_as_it_is(configure) -> None:
    config = with_images(configure(), train="/images/ours.sif")
    assert images.path(config, "train") == Path("/images/ours.sif")
    assert images.path(config, "data") != images.path(config, "train")


def test_the_shared_folder_comes_first_if_it_has_the_image(configure, tmp_path: Path) -> None:
    config = with_images(configure(), shared=tmp_path, folder="elsewhere")
    own = images.path(config, "render")
    assert own.parent == Path("elsewhere")
    (tmp_path / own.name).touch()
    assert images.path(config, "render") == tmp_path / own.name


def test_an_image_that_another_checkout_built_is_not_built_again(configure, checkout: Path, tmp_path: Path) -> None:
    images.build(configure(), ["data"])
    other = with_images(configure(), folder=tmp_path / "other checkout")
    images.build(other, ["data"])
    assert len((tmp_path / "asked").read_text().splitlines()) == 1
    found = images.path(other, "data")
    assert found.read_text() == "image\n" and tmp_path / "cache" in found.parents
    images.path(configure(), "data").unlink()
    assert found.exists(), "the first checkout may go"
    with open(checkout / "envs/data.txt", "a") as lock:
        lock.write("\nanother==1\n")
    assert images.path(other, "data").parent == tmp_path / "other checkout", "of another digest none is taken"


def test_a_second_build_finds_nothing_to_do(
    configure, checkout: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    for _ in range(2):
        images.build(configure(), ["data", "cpu"])
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [words.split()[-1] for words in asked] == ["containers/data.def", "containers/cpu.def"]
    assert "it speaks\nit warns\n" in capfd.readouterr().err
    images.show(configure())
    states = dict(line.split()[:2] for line in capfd.readouterr().out.splitlines())
    assert states == {
        "data": "there",
        "render": "missing",
        "train": "missing",
        "cpu": "there",
        "serve": "missing",
    }


def test_a_failed_build_is_one_sentence_and_leaves_no_image(configure, checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "fails").touch()
    with pytest.raises(UserError, match=r"data was not built: apptainer build ended with exit code 255.*data\.log"):
        images.build(configure(), ["data"])
    assert "it warns" in (checkout / "logs/images/data.log").read_text()
    assert not list((checkout / "containers").glob("*data-*"))


def test_wheels_that_cannot_be_fetched_are_one_sentence(
    configure, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "BOOKWORM_PYTHON", sys.version_info[:2])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(UserError, match="fetching the wheels ended with exit code 1"):
        images.build(configure(), ["data"])


def test_without_apptainer_it_says_what_to_do(configure, checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda program: None)
    with pytest.raises(UserError, match="apptainer is not installed here: install it"):
        images.build(configure(), ["data"])


def test_mistaken_names_are_one_sentence(configure, checkout: Path) -> None:
    with pytest.raises(UserError, match="there is no image 'gpu'"):
        images.build(configure(), ["gpu"])
    with pytest.raises(UserError, match=r"images\.data names nowhere\.sif, which is not there"):
        images.build(with_images(configure(), data="nowhere.sif"), ["data"])
