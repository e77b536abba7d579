"""The manual: every shell and Python block of its pages runs, in order; it builds without a warning."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
import soundfile
import typer
from conftest import REPOSITORY, missing, once
from runs import shortened
from surveys import coded_survey

import audiosae
from audiosae.cli import COMMANDS, app

DOCS = REPOSITORY / "docs"
PAGES = {
    path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8")
    for path in sorted(DOCS.rglob("*.md"))
    if "generated" not in path.parts
}
BLOCK = re.compile(r"^```(sh|python|r)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
GROUP = typer.main.get_command(app)
NEEDS_MACHINES = {"cluster.md"}  # test_engine runs its commands on local workers
ELSEWHERE = {"audiosae samples samples"}  # test_samples compares all samples with those of the repository
INSTALLED = {
    *(".", "plugins/audiosae-images", "plugins/audiosae-vectors"),  # in a clone
    *("'audiosae[app]'", "'audiosae[cluster]'", "'audiosae[cuda12]'"),  # extras of the installed package
    "paramiko",  # of Dask
}


def blocks(page):
    return [(kind, text.replace("\\\n", " ")) for kind, text in BLOCK.findall(PAGES[page])]


def commands(page):
    return [line for kind, text in blocks(page) if kind == "sh" for line in text.splitlines() if line]


def songs(folder, kinds, names, seconds=12.0, seed=0):
    """Write recordings of some seconds: samples one after the other, with faint noise between them."""
    rng, rate = np.random.default_rng(seed), 22050
    folder.mkdir()
    sounds = [path for kind in kinds for path in sorted((REPOSITORY / "samples/sounds" / kind).glob("*.flac"))]
    for name in names:
        recording, start = 1e-3 * rng.normal(size=int(seconds * rate)), rate // 2
        while True:
            sound, _ = soundfile.read(rng.choice(sounds))
            if start + len(sound) > len(recording):
                break
            recording[start : start + len(sound)] += sound
            start += len(sound) + rate // 2
        soundfile.write(folder / name, recording, rate)


def months(folder):
    for month, name in ((6, "june"), (7, "july")):
        times = [f"2026{month:02d}{day:02d}_{hour:02d}0000.WAV" for day in (1, 2) for hour in (4, 5, 6, 20, 21)]
        songs(folder / name, ["bird", "frog", "cricket"], times, seed=month)
    (folder / "names.csv").write_text("type,name\n1,the first\n")


def surveyed_month(folder):
    """Make what the page on labels continues: a model, a survey, and labels of its sounds."""
    months(folder)
    audiosae.train(folder / "june", folder / "model", hidden=16, epochs=8)
    survey = audiosae.survey(folder / "model", folder / "june", folder / "june-found", time_zone="UTC")
    rows = [(event.file, event.start, event.end, f"kind {event.type}") for event in survey.rows()]
    (folder / "raven-tables").mkdir()
    with (folder / "raven-tables/labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file", "start", "end", "label"), *rows])


def syllables(folder):
    songs(folder / "songs", ["bird"], [f"song_{n:02d}.wav" for n in range(4)])
    (folder / "names.csv").write_text("type,name\n1,the first\n")


def bats(folder):
    """Write calls of bats: sweeps of 5 ms from 60 to 25 kHz, ten times per second."""
    rate, rng = 256000, np.random.default_rng(0)
    time = np.arange(rate // 200) / rate
    call = 0.3 * np.hanning(len(time)) * np.sin(2 * np.pi * (60e3 * time - 3.5e6 * time**2))
    (folder / "bats").mkdir()
    for number in range(3):
        sound = 1e-3 * rng.normal(size=rate)
        for start in rng.integers(0, rate // 10 - len(call), 10) + np.arange(10) * rate // 10:
            sound[start : start + len(call)] += call
        soundfile.write(folder / f"bats/night_{number}.wav", sound, rate)


def forest(folder):
    (folder / "forest").mkdir()
    for seed, site in enumerate(("north", "south")):
        times = [f"20240{month}01_{hour:02d}0000.WAV" for month in (5, 6) for hour in (5, 12, 21)]
        songs(folder / "forest" / site, ["bird", "frog"], times, seed=seed)


def surveyed_sites(folder):
    """Write the tables of a survey, and a table of features, in which sites and labels are numbers."""
    survey = coded_survey()
    (folder / "june-found").mkdir()
    for table in ("bouts", "effort", "timeline"):
        survey.table(table).write_csv(folder / f"june-found/{table}.csv")
    survey.table("bouts").write_parquet(folder / "june-found/bouts.parquet")
    (folder / "features.csv").write_text("file,label,duration,u0_max,u1_max\na.wav,01,1.0,0.5,0.25\nb.wav,2,1.5,0,1\n")


INPUT_FILES = {  # files that a page needs, besides samples/
    "howto/bats.md": bats,
    "howto/labels.md": surveyed_month,
    "howto/month.md": months,
    "howto/r.md": surveyed_sites,
    "howto/sites.md": forest,
    "howto/syllables.md": syllables,
    "howto/tables.md": surveyed_sites,
}


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_can_be_parsed(page):
    for line in commands(page):
        program, *arguments = shlex.split(line)
        if program == "audiosae":
            command = GROUP.commands[arguments[0]]
            command.make_context(arguments[0], arguments[1:])
        elif program == "pip":
            assert set(line.split()[2:]) <= INSTALLED, line
        else:
            assert page in NEEDS_MACHINES, line


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page) and page not in NEEDS_MACHINES])
def test_every_block_of_a_page_runs(page, tmp_path, monkeypatch):
    """In order, in one folder; training is made short."""
    (tmp_path / "samples").symlink_to(REPOSITORY / "samples")
    monkeypatch.chdir(tmp_path)
    for package in ("polars", "duckdb") if page == "howto/tables.md" else ():
        pytest.importorskip(package, reason=f"the page uses it: pip install {package}")
    if page == "howto/r.md" and shutil.which("Rscript") is None:
        pytest.skip("R is not installed: on Debian apt install r-base-core r-cran-readr r-cran-data.table")
    INPUT_FILES.get(page, lambda _: None)(tmp_path)
    names, r = {}, []
    for kind, text in blocks(page):
        if kind == "python":
            exec(compile(text, page, "exec"), names)  # noqa: S102
        r += [text] if kind == "r" else []
        for line in text.splitlines() if kind == "sh" else []:
            if line.startswith("audiosae ") and line not in ELSEWHERE:
                once(shortened(line))
    if r and shutil.which("Rscript"):
        command = ["Rscript", "-e", "options(warn = 2)\n" + "\n".join(r)]
        process = subprocess.run(command, check=False, capture_output=True, text=True)
        assert process.returncode == 0, process.stderr
    assert not (tmp_path / "samples/first-run").exists()


def test_every_task_has_a_page():
    for name in ("month", "search", "syllables", "bats", "instruments", "edges", "embeddings", "domain", "gpu"):
        assert f"howto/{name}.md" in PAGES
    assert "cluster.md" in PAGES


@pytest.fixture(scope="module")
def generate():
    """The module docs/generate.py."""
    spec = spec_from_file_location("generate", DOCS / "generate.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("command", COMMANDS, ids=[command.name for command in COMMANDS])
def test_the_page_of_a_command_has_its_example_and_every_option(generate, command):
    page = generate.command_page(command)
    assert command.example in page
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    for param in GROUP.commands[command.name].params:
        options = [option for option in [*param.opts, *param.secondary_opts] if option.startswith("--")]
        assert all(any(option in row for row in rows) for option in options), options


def test_the_page_of_a_command_shows_defaults_and_ranges(generate):
    pages = {command.name: generate.command_page(command) for command in COMMANDS}
    assert "| `--hidden <int>` | Number of hidden units. | 256 | at least 1 |" in pages["train"]
    assert "| 20 | at least 1 |" in next(line for line in pages["find"].splitlines() if "--count" in line)
    assert "| required |" in next(line for line in pages["train"].splitlines() if "--out" in line)


@pytest.fixture(scope="module")
def manual(tmp_path_factory):
    """The built manual, with warnings as errors; AUDIOSAE_MANUAL names a folder that stores it for the next run."""
    if any(find_spec(name) is None for name in ("sphinx", "furo", "ipykernel", "latex2mathml", "myst_nb", "numpydoc")):
        pytest.skip("the tools of the manual are not installed: pip install --group docs")
    if (stored := Path(os.environ.get("AUDIOSAE_MANUAL", "none"))).joinpath("searchindex.js").exists():
        return stored
    folder = tmp_path_factory.mktemp("manual")
    source, out = folder / "docs", Path(os.environ.get("AUDIOSAE_MANUAL", folder / "html"))
    shutil.copytree(DOCS, source, ignore=shutil.ignore_patterns("generated", "_build"))
    for name in ("plugins", "benchmarks", "samples"):
        (folder / name).symlink_to(REPOSITORY / name)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "2", source, out]
    process = subprocess.run(command, check=False, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    return out


@pytest.mark.slow
def test_every_command_and_public_name_has_a_page(manual):
    import audiosae

    for name in GROUP.commands:
        page = (manual / f"generated/commands/{name}.html").read_text(encoding="utf-8")
        for param in GROUP.commands[name].params:
            assert all(option in page for option in param.opts if option.startswith("--")), (name, param.opts)
    page = (manual / "generated/python.html").read_text(encoding="utf-8")
    assert all(f'id="audiosae.{name}"' in page for name in audiosae.__all__)


@pytest.mark.slow
def test_notebooks_and_gallery_show_what_the_program_draws(manual):
    for name, least in {"month": 3, "syllables": 1, "instruments": 3, "edges": 4}.items():
        page = (manual / f"notebooks/{name}.html").read_text(encoding="utf-8")
        assert page.count("<img") >= least, name
        assert "What differs with real" in page
    page = (manual / "generated/gallery.html").read_text(encoding="utf-8")
    assert page.count("<img") >= 10
    assert page.count('href="../examples/') == 5


def test_notebooks_are_stored_without_outputs():
    for path in (DOCS / "notebooks").glob("*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert [cell for cell in cells if cell.get("outputs") or cell.get("execution_count")] == [], path.name


@pytest.mark.slow
def test_the_manual_opens_offline_and_its_links_have_targets(manual):
    for page in manual.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert re.findall(r'(?:src|<link [^>]*href)="https?://[^"]*', text) == [], page
        for link, anchor in re.findall(r'(?:src|href)="([^":#?]*)(?:#([^"]*))?"', text):
            target = page.parent / link if link else page
            assert target.exists(), (page, link)
            if anchor:
                assert f'id="{anchor}"' in target.read_text(encoding="utf-8"), (page, link, anchor)


WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 800}
LIGHT = (
    *("index", "first-steps", "howto/edges", "generated/gallery", "notebooks/month", "explanation/autoencoder"),
    *("reference/files", "reference/train", "generated/commands/train", "generated/python", "search"),
)
DARK = ("index", "notebooks/month", "explanation/autoencoder", "reference/files")


@pytest.mark.browser
@pytest.mark.parametrize(
    ("page", "scheme", "size"), [*((page, "light", WIDE) for page in LIGHT), *((page, "dark", PHONE) for page in DARK)]
)
def test_a_page_of_the_manual_has_no_serious_accessibility_fault(request, chromium, page, scheme, size):
    axe = os.environ.get("AUDIOSAE_AXE")
    if not axe:
        missing("axe-core (npm install axe-core; AUDIOSAE_AXE names its axe.min.js)")
    manual, requests = request.getfixturevalue("manual"), []
    tab = chromium.new_page(color_scheme=scheme, viewport=size)
    tab.on("request", lambda each: requests.append(each.url))
    tab.goto((manual / f"{page}.html").as_uri())
    tab.evaluate(Path(axe).read_text(encoding="utf-8"))
    faults = tab.evaluate("axe.run().then((result) => result.violations)")
    width = tab.evaluate("document.documentElement.scrollWidth")
    tab.close()
    serious = [fault for fault in faults if fault["impact"] in {"serious", "critical"}]
    assert [(fault["id"], [node["html"][:200] for node in fault["nodes"][:3]]) for fault in serious] == []
    assert width <= size["width"]
    assert [url for url in requests if not url.startswith(("file:", "data:", "blob:"))] == []
