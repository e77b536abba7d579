"""Every command that the README shows works, in its order, on what lies in the repository."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
TOUR = [line for block in BLOCKS[2:] for line in block.splitlines() if line and not line.startswith("#")]


def audiosae(command, folder, cache):
    arguments = shlex.split(command)
    assert arguments[0] == "audiosae"
    found = subprocess.run(
        [sys.executable, "-m", *arguments], check=False, cwd=folder, capture_output=True, text=True,
        env=os.environ | {"AUDIOSAE_CACHE": str(cache)},
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_the_first_two_blocks_are_one_command_each():
    assert all(len(block.strip().splitlines()) == 1 for block in BLOCKS[:2])
    assert BLOCKS[0].startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert "pytest" in BLOCKS[1]


@pytest.mark.slow
def test_the_tour_works_from_the_first_command_on(tmp_path, cache):
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    first = re.search(r"audiosae train samples/sounds -o first-run", BLOCKS[0]).group()
    for command in [first, *TOUR]:
        if command.startswith("audiosae"):
            audiosae(command, tmp_path, cache)
        else:
            assert command == "pip install plugins/audiosae-images plugins/audiosae-vectors"  # done by the test command
    for name in (
        "features.csv",
        "windows.npz",
        "like.csv",
        "found/index.html",
        "first-run/atoms.png",
        "some.png",
        "edges/atoms.png",
        "report.html",
    ):
        assert (tmp_path / name).stat().st_size > (500 if name == "like.csv" else 5000), name


PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.slow
def test_the_python_of_the_readme_runs(tmp_path, cache):
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    audiosae("audiosae train samples/sounds -o first-run --hidden 256 --epochs 20 -q", tmp_path, cache)
    audiosae("audiosae export first-run samples/sounds -o features.csv --labels folder -q", tmp_path, cache)
    setting = "import numpy as np\nwindows = np.zeros((3, 16, 40), np.float32)\n"
    code = setting + "\n".join(PYTHON) + "\nassert codes.shape == (1797, 64)\nassert scores.mean() > 0.5\n"
    code += "assert table.features.shape == (120, 192)\nassert len(found.types) > 1\n"
    found = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_option_of_train_is_in_the_manual(cache, tmp_path):
    table = (REPOSITORY / "docs/reference/train.md").read_text(encoding="utf-8")
    text = audiosae("audiosae train --help", tmp_path, cache)
    options = set(re.findall(r"--[a-z][a-z-]+", text)) - {"--help", "--out", "--no-contrast", "--keep-mean"}
    assert {option for option in options if option not in table} == set()


def test_every_picture_of_the_readme_is_there():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (REPOSITORY / picture).exists(), picture


def test_every_link_of_the_readme_leads_somewhere():
    for link in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)\)", README):
        assert Path(REPOSITORY / link).exists(), link
