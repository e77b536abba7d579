"""The example plugin in a fresh environment: installed from its folder, listed, tested, used for training."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("hatchling", reason="the build needs hatchling: install the extra test")
pytest.importorskip("pip", reason="the installation needs pip: install the extra test")

EXAMPLE = Path(__file__).parents[1]


class Environment(NamedTuple):
    """A new environment that sees the packages of this one through a .pth file, so that nothing is downloaded."""

    python: Path
    folder: Path

    def run(self, *arguments: object) -> str:
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=self.folder,
            env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
            | {"AUDIOSAE_CACHE": str(self.folder / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("fresh")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    scripts, packages = ("Scripts", "Lib") if os.name == "nt" else ("bin", "lib")
    (site,) = (folder / "venv" / packages).rglob("site-packages")
    borrowed = sysconfig.get_path("purelib")
    (site / "borrowed.pth").write_text(f"import site; site.addsitedir({borrowed!r})\n")  # reads the .pth files in it
    environment = Environment(folder / "venv" / scripts / "python", folder)
    environment.run("-m", "pip", "install", "--no-index", "--no-deps", "--no-build-isolation", EXAMPLE)
    assert (site / "example_accelerometer").is_dir()
    return environment


def test_the_installed_domain_is_listed_with_its_package(fresh: Environment) -> None:
    listed = json.loads(fresh.run("-m", "audiosae", "domains", "--json"))["domains"]
    (found,) = [domain for domain in listed if domain["name"] == "accelerometer"]
    assert (found["package"], found["version"]) == ("example-accelerometer", "0.1.0")
    assert found["options"]["samples"] == 64


def test_the_installed_domain_passes_its_own_tests(fresh: Environment) -> None:
    passed = fresh.run("-m", "pytest", "-p", "no:cacheprovider", EXAMPLE / "tests/test_accelerometer.py")
    assert "failed" not in passed


def test_the_installed_domain_trains(fresh: Environment, write: Callable[..., Path]) -> None:
    (fresh.folder / "data").mkdir()
    for seed in range(6):
        write(fresh.folder / "data" / f"walk{seed}.csv", seed=seed)
    (fresh.folder / "data" / "notes.csv").write_text("a text that somebody left there\n")
    out = fresh.run(
        "-m", "audiosae", "train", "data", "--domain", "accelerometer", "-o", "run", "--epochs", 100, "--json"
    )
    summary = json.loads(out)
    assert (summary["sources_used"], summary["sources_skipped"], summary["dead_units"]) == (6, 1, 0)
    assert summary["fvu"] < 0.5
    assert (fresh.folder / "run" / "model.safetensors").exists()
    assert "other columns: wanted time,x,y,z" in (fresh.folder / "run" / "journal.csv").read_text()
    assert json.loads(fresh.run("-m", "audiosae", "info", "run", "--json"))["window"] == [64, 3]
