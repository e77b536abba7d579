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
from signals import bursts

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
if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
):  # in a background job of a shell; child processes would ignore Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items):
    """Run tests with module fixtures first: an idle worker takes over the last tests of another worker."""
    items.sort(
        key=lambda item: (
            not any(fixture[-1].scope == "module" for fixture in item._fixtureinfo.name2fixturedefs.values())
        )
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
        soundfile.write(folder / f"tone_{number:02d}.wav", bursts(rng, 5 + number, RATE), RATE)
    return folder


@pytest.fixture
def make_pipe():
    """The function that makes a named pipe in a folder."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("Windows has no named pipes in folders: it is not tested that they are skipped and never opened")
    return os.mkfifo


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    """The kernels of kernels.cu, compiled for the CPU."""
    if compiler() is None:
        pytest.skip("no g++ to compile the kernels for the CPU: install your system's C++ compiler")
    return HostKernels(tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def device(kernels):
    """A simulated GPU: `import cupy` gives the fake, kernels run on the host, one thread per block."""
    found = Device(kernels)
    with installed(found):
        yield found


@pytest.fixture
def real_gpu():
    """An NVIDIA GPU; without one the test is skipped, with the reason."""
    from audiosae.backends import detect_gpu

    if reason := detect_gpu().reason:
        pytest.skip(reason)
    if os.environ.get("PLAIN_MALLOC"):  # no pool between an array's end and compute-sanitizer
        import cupy

        cupy.cuda.set_allocator(None)


@pytest.fixture(params=["simulated", pytest.param("real", marks=pytest.mark.gpu)])
def any_gpu(request):
    """The simulated GPU, or a real one."""
    return request.getfixturevalue("device" if request.param == "simulated" else "real_gpu")


@pytest.fixture(params=["numpy", "simulated GPU", pytest.param("real GPU", marks=pytest.mark.gpu)])
def backend(request):
    """Every backend; all must give the same results."""
    if request.param == "numpy":
        return Backend()
    request.getfixturevalue("real_gpu" if request.param == "real GPU" else "device")
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
    """A run folder of two units, for pages with few pictures and sounds."""
    folder = tmp_path_factory.mktemp("small") / "run"
    once(["train", sounds, "-o", folder, "--hidden", 2, "--epochs", 2, "--cache", cache, "-q"])
    return folder


@pytest.fixture(scope="session")
def page(trained, sounds, cache, tmp_path_factory):
    """The report page of `trained` on the recordings it was trained on."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    once(["report", trained, sounds, "-o", path, "--cache", cache, "-q"])
    return path


UNDRAWN = ("audiosae.commands.train._draw", lambda *_: None)  # no pictures and model card, to save time


def once(arguments, *, pictures=True):
    """Run the command line in this process, outside of a test; it must succeed."""
    with pytest.MonkeyPatch.context() as patch:
        if not pictures:
            patch.setattr(*UNDRAWN)
        patch.setattr(sys, "argv", ["audiosae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
    assert stop.value.code == 0, arguments


@pytest.fixture
def run(capfd, monkeypatch):
    """Function that runs the command line in this process and returns exit status, standard output and error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["audiosae", *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capfd.readouterr()
        return stop.value.code, out, err

    return call


def missing(what):
    """Skip the test, or fail if AUDIOSAE_NEED_BROWSER is set."""
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
    """Function that opens a page; messages, errors and requests of the page fail the test."""
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
