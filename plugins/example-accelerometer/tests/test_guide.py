"""The guide for writing a domain: all its code blocks are run in order."""

from __future__ import annotations

import importlib
import re
import shlex
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from audiosae import cli
from audiosae.domain import check_domain

if TYPE_CHECKING:
    from audiosae.domain import Domain

GUIDE = Path(__file__).parents[2] / "README.md"

pytestmark = pytest.mark.skipif(not GUIDE.exists(), reason="the guide is not in a copy of this plugin alone")


def quoted(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GUIDE.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the guide, with its two files, its data, and the metadata of an editable installation."""
    (tmp_path / "audiosae_ecg").mkdir()
    (tmp_path / "audiosae_ecg/__init__.py").write_text(quoted("python")[0])
    project = tomllib.loads(quoted("toml")[0])["project"]
    info = tmp_path / "audiosae_ecg-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    ((group, points),) = project["entry-points"].items()
    lines = [f"{name} = {target}" for name, target in points.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines, ""]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    exec(quoted("python")[1], {})  # noqa: S102 (makes the recordings)
    return tmp_path


def written(source: str, monkeypatch: pytest.MonkeyPatch) -> Domain:
    """Write the module, import it again, and return its domain."""
    Path("audiosae_ecg/__init__.py").write_text(source)
    monkeypatch.delitem(sys.modules, "audiosae_ecg", raising=False)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    importlib.invalidate_caches()
    domain: Domain = importlib.import_module("audiosae_ecg").Ecg()
    return domain


def test_the_first_domain_has_twelve_lines_and_the_guide_is_short() -> None:
    assert len([line for line in quoted("python")[0].splitlines() if line]) == 12
    assert len(GUIDE.read_text(encoding="utf-8").splitlines()) < 250


def test_the_domain_passes_the_check_after_every_step(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, _, *steps, test = quoted("python")
    for step in ["", *steps]:
        source += "\n" + step
        check_domain(written(source, monkeypatch), sorted(folder.glob("hearts/*.csv")))
    whole = written(source, monkeypatch)
    assert {"rate", "span", "stride", "probe", "field", "finish", "draw", "centre"} <= vars(type(whole)).keys()
    names: dict[str, object] = {}
    exec(test, names)  # noqa: S102
    names["test_domain_follows_the_interface"]()  # type: ignore[operator]


def test_the_commands_work_with_the_minimal_domain(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("AUDIOSAE_CACHE", str(folder / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(folder))  # for processes that decode
    printed = {}
    for command in quoted("sh")[0].splitlines():
        name, *arguments = shlex.split(command)
        if name != "audiosae":
            assert command in {"pip install -e .", "python make_data.py"}  # done by the fixture
            continue
        monkeypatch.setattr(sys, "argv", ["audiosae", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        assert stop.value.code == 0, err
        printed[arguments[0]] = out
    assert "ecg  (audiosae-ecg 0.1.0)" in printed["domains"]
    assert "4 of 4 sources can be read: 16,000 rows" in printed["inspect"]
    for picture in ("run/atoms.png", "atoms.png", "features.csv", "report.html"):
        assert (folder / picture).stat().st_size > 1000
