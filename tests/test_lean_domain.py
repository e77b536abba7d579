"""Minimal domains: the inherited methods are right for rows of numbers, in every command."""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest

from audiosae import cli
from audiosae.commands import inspect as inspection
from audiosae.corpus.cache import open_folder, source_digest
from audiosae.corpus.ingest import decode
from audiosae.corpus.sources import scan
from audiosae.domain import Blocks, Domain, Excerpt, Span, check_domain, load_domain
from audiosae.errors import InputError
from audiosae.system.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@dataclass(frozen=True)
class Seismograms(Domain):
    """One channel: fields and windows with one axis."""

    name = "seismograms"
    suffixes = (".npy",)
    window = (48,)

    def field(self, path: Path) -> Blocks:
        yield np.load(path).astype(np.float32)


@dataclass(frozen=True)
class Leads(Domain):
    """Three leads in a table, whose damaged end is omitted; times are in seconds."""

    name = "leads"
    suffixes = (".csv",)
    unit = "s"
    window = (16, 3)

    def field(self, path: Path) -> Generator[np.ndarray, None, str | None]:
        lines = path.read_text(errors="replace").splitlines()
        good = [line for line in lines if line.count(",") == 2]
        if not good:
            raise InputError("no table: wanted three columns")
        yield np.loadtxt(good, delimiter=",", dtype=np.float32, ndmin=2)
        return f"{len(lines) - len(good)} damaged lines" if len(good) < len(lines) else None

    def span(self, path: Path, start: tuple[int, ...]) -> Span:
        return Span((start[0] / 4,), ((start[0] + 16) / 4,), "s")


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with a domain in editable mode, and return the path of its module."""

    def install(name, source, *, editable=True):
        module = tmp_path / f"site/lean_{name}.py"
        info = tmp_path / f"site/lean_{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: lean-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[audiosae.domains]\n{name} = lean_{name}:{name.title()}\n")
        (info / "RECORD").write_text("")
        (info / "direct_url.json").write_text(f'{{"dir_info": {{"editable": {str(editable).lower()}}}}}')
        module.write_text(source)
        monkeypatch.syspath_prepend(module.parent)
        monkeypatch.delitem(sys.modules, module.stem, raising=False)
        importlib.invalidate_caches()
        return module

    return install


@pytest.fixture
def traces(tmp_path):
    folder = tmp_path / "traces"
    rng = np.random.default_rng(0)
    for number in range(10):
        (folder / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        trace = np.sin(np.arange(400) * (0.2 + 0.3 * (number % 2))) + 0.1 * rng.normal(size=400)
        np.save(folder / "ab"[number % 2] / f"{number}.npy", trace)
    return folder


@pytest.fixture
def tables(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(2):
        np.savetxt(tmp_path / f"{number}.csv", rng.normal(size=(50, 3)), delimiter=",")
    return sorted(tmp_path.glob("*.csv"))


def test_domains_with_few_methods_pass_the_conformance_check(traces, tables):
    check_domain(Seismograms(), sorted(traces.rglob("*.npy")))
    check_domain(Leads(), tables)


def test_every_command_works_on_a_minimal_domain(traces, tmp_path, install, monkeypatch, capfd):
    install("seismograms", "from test_lean_domain import Seismograms\n")

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["audiosae", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stop:
            assert not stop.code, capfd.readouterr().err
        return capfd.readouterr().out

    assert "10 of 10 sources can be read: 4,000 rows" in run("inspect", traces, "--domain", "seismograms")
    listed = run("domains").split("seismograms  (")[1].splitlines()
    assert listed[1:3] == ["  options (--set): none", "  defaults of train: as in audiosae train --help"]
    one, other = tmp_path / "one", tmp_path / "other"
    for folder, seed in ((one, 0), (other, 1)):
        small = ["--hidden", 3, "--epochs", 4, "--seed", seed, "--cache", tmp_path / "cache"]
        run("train", traces, "--domain", "seismograms", "-o", folder, *small)
    run("render", one, "-o", tmp_path / "a.png")
    for command, name in (("export", "t.csv"), ("report", "r.html")):
        run(command, one, traces, "-o", tmp_path / name, "--cache", tmp_path / "cache")
    run("diff", one, other, "-o", tmp_path / "d.html")
    compared = ["--labels", "folder", "--baselines", "pca", "--cache", tmp_path / "cache", "-o", tmp_path / "e"]
    run("evaluate", one, traces, *compared)
    assert "seismograms" in run("info", one)
    for name in ("a.png", "t.csv", "r.html", "d.html"):
        assert (tmp_path / name).stat().st_size > 0, name


def test_the_inherited_excerpt_uses_the_span_of_the_domain(tables):
    table = np.loadtxt(tables[0], delimiter=",", dtype=np.float32)
    excerpt = Leads().excerpt(tables[0], Leads().span(tables[0], (20, 0)))
    assert isinstance(excerpt, Excerpt)
    np.testing.assert_array_equal(excerpt.data, table[20:36])


def test_the_note_that_a_generator_returns_is_stored(tables, tmp_path):
    with tables[0].open("a") as file:
        file.write("1,2\n")
    assert decode((Leads(), tables[0], tmp_path / "a.npy")).reason == "1 damaged lines"
    assert decode((Leads(), tables[1], tmp_path / "b.npy")).reason == ""


def test_a_field_may_be_any_iterable_of_blocks(traces, tmp_path):
    path = next(traces.rglob("*.npy"))
    plain = type("Plain", (Seismograms,), {"field": lambda self, path: [np.load(path)[:9], np.load(path)[9:]]})
    record = decode((plain(), path, tmp_path / "a.npy"))
    assert (record.status, record.shape, record.extent) == ("used", (400,), 400)


def test_a_large_file_without_a_probe_is_reported_and_not_read(traces, monkeypatch):
    monkeypatch.setattr(inspection, "_READ_BYTES", 100)
    found = inspection.inspect_sources(Seismograms(), scan([traces], (".npy",)), progress=Progress())
    assert {file["reason"] for file in found["files"]} == {"length unknown before it is read"}
    assert any(line.startswith("  10 not counted: seismograms") for line in found["summary"])


@pytest.mark.parametrize("editable", [True, False])
def test_a_changed_package_under_development_has_another_cache_folder(install, tmp_path, editable):
    module = install("leads", "from test_lean_domain import Leads as Base\nclass Leads(Base): ...\n", editable=editable)
    domain, messages = load_domain("leads")(), []
    first = open_folder(tmp_path / "cache", domain, messages.append)
    module.write_text(module.read_text() + "# changed\n")
    source_digest.cache_clear()  # as in the next process
    assert (open_folder(tmp_path / "cache", domain, messages.append) != first) == editable
    source_digest.cache_clear()
