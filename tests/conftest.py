"""Shared fixtures: a cache, short sounds, trained models, devices and a browser."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from fake_cupy import Device, installed
from host_kernels import HostKernels, compiler

from audiosae import cli
from audiosae.backends import Backend

RATE = 8000
CHROMIUM = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPOSITORY = Path(__file__).parent.parent
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # of a shell's background: what is started would not hear Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Put tests that share what their module makes first: a worker without work takes of another's last tests."""
    items.sort(
        key=lambda item: not any(found[-1].scope == "module" for found in item._fixtureinfo.name2fixturedefs.values())
    )


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_cache(cache, monkeypatch):
    monkeypatch.setenv("AUDIOSAE_CACHE", str(cache))


@pytest.fixture(scope="session")
def sounds(tmp_path_factory):
    """Twelve recordings of 0.5 to 1.6 s: bursts of five notes with a falling envelope, in noise."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    for number in range(12):
        time = np.arange(RATE // 10) / RATE
        notes = rng.choice([300, 500, 900, 1500, 2500], size=5 + number)
        bursts = [np.sin(2 * np.pi * note * time) * np.exp(-time / 0.05) for note in notes]
        samples = 0.3 * np.concatenate(bursts) + 0.01 * rng.normal(size=len(time) * len(notes))
        soundfile.write(folder / f"tone_{number:02d}.wav", samples, RATE)
    return folder


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    """kernels.cu compiled for the host."""
    if compiler() is None:
        pytest.skip("there is no g++, which compiles the kernels for the host: install your system's C++ compiler")
    return HostKernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def device(kernels):
    """A device that is none: `import cupy` gives the fake, kernels run on the host, one thread a block."""
    found = Device(kernels)
    with installed(found):
        yield found


@pytest.fixture
def card():
    """A card; a test that wants one is skipped where there is none, with the reason."""
    from audiosae.backends import detect_gpu

    if reason := detect_gpu().reason:
        pytest.skip(reason)
    if os.environ.get("PLAIN_MALLOC"):  # no pool between an array's end and compute-sanitizer
        import cupy

        cupy.cuda.set_allocator(None)


@pytest.fixture(params=["pretended", pytest.param("card", marks=pytest.mark.gpu)])
def anywhere(request):
    """A device that is none, or a card."""
    return request.getfixturevalue("device" if request.param == "pretended" else "card")


@pytest.fixture(params=["numpy", "pretended card", pytest.param("card", marks=pytest.mark.gpu)])
def backend(request):
    """Every backend: what holds of the maths holds on all of them."""
    if request.param == "numpy":
        return Backend()
    request.getfixturevalue("card" if request.param == "card" else "device")
    from audiosae.backends.gpu import GpuBackend

    return GpuBackend()


@pytest.fixture(scope="session")
def trained(sounds, cache, tmp_path_factory):
    """A run folder of twelve units on the twelve recordings."""
    folder = tmp_path_factory.mktemp("trained") / "run"
    once(["train", sounds, "-o", folder, "--hidden", 12, "--epochs", 8, "--cache", cache, "-q"])
    return folder


@pytest.fixture(scope="session")
def small(sounds, cache, tmp_path_factory):
    """A run folder of two units: each costs a picture and a sound wherever it is shown."""
    folder = tmp_path_factory.mktemp("small") / "run"
    once(["train", sounds, "-o", folder, "--hidden", 2, "--epochs", 2, "--cache", cache, "-q"])
    return folder


@pytest.fixture(scope="session")
def page(trained, sounds, cache, tmp_path_factory):
    """The report of that run on the recordings that it was trained on."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    once(["report", trained, sounds, "-o", path, "--cache", cache, "-q"])
    return path


UNDRAWN = (
    "audiosae.commands.train._draw",
    lambda *_: None,
)  # no pictures and card of a run: their tests have their own


def once(arguments, *, pictures=True):
    """Run the command line in this process, outside of a test."""
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr(*UNDRAWN)
        patch.setattr(sys, "argv", ["audiosae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0, arguments


@pytest.fixture
def run(capfd, monkeypatch):
    """Run the command line in this process; gives exit status, standard output and standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        return stop.value.code, out, err

    return call


def missing(what):
    """Skip, with the reason; where the browser was installed for these tests, its absence is a failure."""
    (pytest.fail if os.environ.get("AUDIOSAE_NEED_BROWSER") else pytest.skip)(f"{what} is not installed")


@pytest.fixture(scope="session")
def chromium():
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        missing("Chromium (on Debian apt install chromium)")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        missing("playwright (pip install -e '.[browser]')")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def see(chromium):
    """Open a page; whatever it complains of or asks for fails the test."""
    opened, trouble = [], []

    def look(path, **how):
        context = chromium.new_context(**({"bypass_csp": True} | how))  # the tests' own scripts run there
        opened.append(context)
        tab = context.new_page()
        tab.on("console", lambda told: trouble.append(told.text) if told.type in {"error", "warning"} else None)
        tab.on("pageerror", lambda error: trouble.append(str(error)))
        tab.on("dialog", lambda dialog: (trouble.append(dialog.message), dialog.dismiss()))
        tab.on("request", lambda request: trouble.append(request.url) if asks(request.url, path) else None)
        tab.goto(path.as_uri())
        return tab

    yield look
    for context in opened:
        context.close()
    assert trouble == []


def asks(url, path):
    return url.split("#")[0] != path.as_uri() and not url.startswith("data:")
