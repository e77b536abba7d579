"""The README: every command and every Python block in it runs, and its pictures and links exist."""

from __future__ import annotations

import re

import pytest
from conftest import REPOSITORY
from runs import copy_some_samples, shortened

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
TOUR = [line for block in BLOCKS[2:] for line in block.splitlines() if line and not line.startswith("#")]
FIRST = re.search(r"audiosae train samples/sounds -o first-run", BLOCKS[0]).group()
COMMANDS = [command for command in [FIRST, *TOUR] if command.startswith("audiosae")]
WRITTEN = [
    "features.csv",
    "windows.npz",
    "found/index.html",
    "first-run/atoms.png",
    "some.png",
    "edges/atoms.png",
    "report.html",
]
SHORT = {  # replacements that make training short
    "hidden=64)": "hidden=8, epochs=20, max_windows=2000)",
    "SparseAutoencoder(n_components=64, ": "SparseAutoencoder(n_components=64, max_iter=20, ",
}


def test_each_of_the_first_two_blocks_is_one_command():
    assert all(len(block.strip().splitlines()) == 1 for block in BLOCKS[:2])
    assert BLOCKS[0].startswith("python3 -m venv .venv && .venv/bin/pip install")
    assert "pytest" in BLOCKS[1]


def test_the_only_command_of_another_program_installs_the_plugins():
    others = [command for command in TOUR if not command.startswith("audiosae")]
    assert others == ["pip install plugins/audiosae-images plugins/audiosae-vectors"]


def test_every_command_runs_on_a_few_samples_with_few_units(tmp_path, run, monkeypatch):
    copy_some_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in COMMANDS:
        code, _, err = run(*shortened(command))
        assert code == 0, (command, err)
    assert [name for name in WRITTEN if (tmp_path / name).stat().st_size <= 5000] == []
    assert len((tmp_path / "like.csv").read_text().splitlines()) > 1


@pytest.mark.parametrize(
    ("replacements", "pooled"),
    [(SHORT, 32), pytest.param({}, 256, marks=pytest.mark.slow)],
    ids=["short", "as it is written"],
)
def test_the_python_blocks_run_on_a_small_model(tmp_path, run, monkeypatch, replacements, pooled):
    code = "\n".join(PYTHON)
    for written, replacement in replacements.items():
        assert code.count(written) == 1
        code = code.replace(written, replacement)
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    monkeypatch.chdir(tmp_path)
    few = ["--hidden", 12, "--epochs", 30, "--solver", "adam", "--max-windows", 2000, "-q"]
    assert run("train", "samples/sounds", "-o", "first-run", *few)[0] == 0
    assert run("export", "first-run", "samples/sounds", "-o", "features.csv", "--labels", "folder", "-q")[0] == 0
    names = {}
    exec(code, names)  # noqa: S102
    assert names["codes"].shape == (1797, 64)
    assert names["scores"].mean() > 0.5
    assert names["table"].features.shape == (120, pooled)
    assert len(names["found"].types) > 1


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 150


def test_every_picture_exists():
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (REPOSITORY / picture).exists(), picture


@pytest.mark.parametrize("page", ["README.md", "benchmarks/README.md", "benchmarks/results/README.md"])
def test_every_link_leads_to_a_file_and_heading(page):
    path = REPOSITORY / page
    for link, heading in re.findall(r"(?<!!)\[[^]]*\]\(([^)#]+)#?([^)]*)\)", path.read_text(encoding="utf-8")):
        assert (path.parent / link).exists(), link
        assert heading.replace("-", " ") in re.sub("[`,]", "", (path.parent / link).read_text().lower()) or not heading


def test_every_package_is_listed():
    packages = {path.parent.name for path in (REPOSITORY / "audiosae").glob("*/__init__.py")}
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (REPOSITORY / name).read_text(encoding="utf-8")
        assert {package for package in packages if not re.search(rf"`{package}/?`", text)} == set(), name
