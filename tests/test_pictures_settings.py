"""The user's matplotlib settings and backends do not change the pictures."""

from __future__ import annotations

import os
import subprocess
import sys

import matplotlib as mpl
import pytest

from audiosae.autoencoder.model import load_model
from audiosae.domain.drawing import default_settings
from audiosae.views.atoms import draw_atoms
from audiosae.views.unit_sides import show_units

HOSTILE = {
    "image.origin": "lower",
    "text.usetex": True,
    "lines.linewidth": 9,
    "savefig.dpi": 30,
    "font.size": 30,
    "axes.facecolor": "red",
    "savefig.transparent": True,
    "image.cmap": "hot",
    "figure.dpi": 40,
}
RENDER = "from audiosae.cli import main; main()"


@pytest.fixture
def hostile():
    with mpl.rc_context(HOSTILE):
        yield


def test_user_settings_do_not_change_pictures(trained, tmp_path, request):
    model = load_model(trained)
    draw_atoms(model, tmp_path / "plain.png", units=[0, 3])
    units = [*show_units(model, units=[0, 3])]
    request.getfixturevalue("hostile")
    draw_atoms(model, tmp_path / "hostile.png", units=[0, 3])
    assert (tmp_path / "hostile.png").read_bytes() == (tmp_path / "plain.png").read_bytes()
    assert [*show_units(model, units=[0, 3])] == units
    assert mpl.rcParams["lines.linewidth"] == HOSTILE["lines.linewidth"], "the user's settings are restored"


@pytest.mark.usefixtures("hostile")
def test_default_settings_removes_all_user_settings():
    with default_settings():
        changed = {k for k, v in mpl.rcParamsDefault.items() if mpl.rcParams[k] != v}
    assert changed <= {"backend", "backend_fallback", "interactive"}


@pytest.mark.parametrize(
    ("backend", "matplotlibrc"),
    [
        ("module://no_such_module.backend", b""),
        ("inline_of_nowhere", b""),
        ("", b"image.origin: lower\n"),
        ("", b"font.size: \xff\xfe\n"),
        ("", b"no.such.key: 3\nimage.origin: sideways\n"),
    ],
)
def test_pictures_are_drawn_with_any_backend_and_any_settings_file(trained, tmp_path, backend, matplotlibrc):
    (tmp_path / "matplotlibrc").write_bytes(matplotlibrc)
    draw_atoms(load_model(trained), tmp_path / "here.png", units=[3])
    process = subprocess.run(
        [sys.executable, "-c", RENDER, "render", trained, "--units", "3", "-o", "atoms.png"],
        cwd=tmp_path,
        env=os.environ | {"MPLBACKEND": backend},
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert (tmp_path / "atoms.png").read_bytes() == (tmp_path / "here.png").read_bytes()
