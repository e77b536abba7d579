"""Every command that the README shows works, in its order, on what lies in the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
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


FIRST = re.search(r"audiosae train samples/sounds -o first-run", BLOCKS[0]).group()
COMMANDS = [command for command in [FIRST, *TOUR] if command.startswith("audiosae")]
LEFT = {
    "features.csv",
    "windows.npz",
    "found/index.html",
    "first-run/atoms.png",
    "some.png",
    "edges/atoms.png",
    "report.html",
}


def check_left(folder):
    assert {name for name in LEFT if (folder / name).stat().st_size <= 5000} == set()
    assert len((folder / "like.csv").read_text().splitlines()) > 1


def thinned(folder):
    """A few of the samples of each kind, where the commands look for them."""
    for path in sorted((REPOSITORY / "samples").rglob("*_0[0-5].*")):
        target = folder / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def test_what_is_no_command_of_audiosae_is_done_by_the_test_command():
    others = [command for command in TOUR if not command.startswith("audiosae")]
    assert others == ["pip install plugins/audiosae-images plugins/audiosae-vectors"]


def test_the_tour_works_on_a_few_of_the_samples_with_few_units(tmp_path, run, monkeypatch):
    """Each command as it is written; those that train are given an end that makes them short."""
    thinned(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        _, *arguments = shlex.split(command)
        few = ["--hidden", 6, "--epochs", 8, "--max-windows", 2000] if arguments[0] == "train" else []
        code, _, err = run(*arguments, *few)
        assert code == 0, (command, err)
    check_left(tmp_path)


PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


SHORT = {  # an end that makes training short
    "hidden=64)": "hidden=8, epochs=20, max_windows=2000)",
    "SparseAutoencoder(n_components=64, ": "SparseAutoencoder(n_components=64, max_iter=20, ",
}


@pytest.mark.parametrize(
    ("short", "pooled"), [(SHORT, 24), pytest.param({}, 192, marks=pytest.mark.slow)], ids=["short", "as it is written"]
)
def test_the_python_of_the_readme_runs_on_a_small_model(tmp_path, run, monkeypatch, short, pooled):
    code = "\n".join(PYTHON)
    for written, instead in short.items():
        assert code.count(written) == 1
        code = code.replace(written, instead)
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    monkeypatch.chdir(tmp_path)
    few = ["--hidden", 12, "--epochs", 30, "--solver", "adam", "--max-windows", 2000, "-q"]
    assert run("train", "samples/sounds", "-o", "first-run", *few)[0] == 0
    assert run("export", "first-run", "samples/sounds", "-o", "features.csv", "--labels", "folder", "-q")[0] == 0
    found = {}
    exec(code, found)  # noqa: S102
    assert found["codes"].shape == (1797, 64)
    assert found["scores"].mean() > 0.5
    assert found["table"].features.shape == (120, pooled)
    assert len(found["found"].types) > 1


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
