"""Every command that the README shows works, in its order, on what lies in the repository."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

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
        few = ["--hidden", 8, "--epochs", 8, "--max-windows", 2000] if arguments[0] == "train" else []
        code, _, err = run(*arguments, *few)
        assert code == 0, (command, err)
    check_left(tmp_path)


PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def check_python(folder):
    code = "\n".join(PYTHON) + "\nassert codes.shape == (1797, 64)\nassert scores.mean() > 0.5\n"
    code += "assert table.features.shape == (120, 192)\nassert len(found.types) > 1\n"
    found = subprocess.run([sys.executable, "-c", code], check=False, cwd=folder, capture_output=True, text=True)
    assert found.returncode == 0, found.stderr


def test_the_python_of_the_readme_runs_on_a_small_model(tmp_path, run, monkeypatch):
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    monkeypatch.chdir(tmp_path)
    few = ["--hidden", 32, "--epochs", 30, "--solver", "adam", "--max-windows", 2000, "-q"]
    assert run("train", "samples/sounds", "-o", "first-run", *few)[0] == 0
    assert run("export", "first-run", "samples/sounds", "-o", "features.csv", "--labels", "folder", "-q")[0] == 0
    check_python(tmp_path)


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
