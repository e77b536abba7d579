"""Errors in the code of plugins: one clear line, raised early, without loss of completed work."""

from __future__ import annotations

import numpy as np
import pytest
import test_domain
from test_cli import TRAIN

from audiosae import cli
from audiosae.autoencoder.model import Model
from audiosae.autoencoder.sae import start
from audiosae.autoencoder.whitening import Whitener
from audiosae.commands.inspect import inspect_sources
from audiosae.corpus.ingest import decode
from audiosae.corpus.sources import scan
from audiosae.domain import Probe, load_domain, plugin_call, resolved
from audiosae.errors import InputError, PluginError
from audiosae.system.progress import Progress
from audiosae.views.atoms import draw_atoms

files = test_domain.files


def test_an_input_error_passes_and_another_error_names_domain_and_method():
    domain = test_domain.Bytes()
    with pytest.raises(InputError, match="^mine$"), plugin_call(domain, "resolve"):
        raise InputError("mine")
    message = r"^domain bytes: resolve\(\) raised KeyError: 'a b'; please report this to test_domain$"
    with pytest.raises(PluginError, match=message), plugin_call(domain, "resolve"):
        raise KeyError("a b")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"window": property(lambda self: 3)}, "found 3;"),
        ({"stride": property(lambda self: (0, 4))}, r"found \(0, 4\) for a window of \(2, 4\)"),
        ({"window": property(lambda self: 1 / 0)}, r"bytes: window raised ZeroDivisionError"),
        ({"resolve": lambda self, paths: self.no_such}, r"resolve\(\) raised AttributeError"),
    ],
)
def test_invalid_windows_are_refused_before_reading(files, replaced, words):
    with pytest.raises(PluginError, match=words):
        resolved(test_domain.bad(**replaced), files)


def test_an_unresolved_width_of_zero_is_valid(files):
    flat = test_domain.bad(window=property(lambda self: (1, 0)), stride=property(lambda self: (1, 0)))
    assert resolved(flat, files) == flat


@pytest.mark.parametrize("ranges", [[(0, 11)], [(5, 3)], [(4, 10), (0, 3)], [(0, 6), (4, 10)]])
def test_ranges_outside_the_field_skip_the_file(files, tmp_path, ranges):
    domain = test_domain.bad(finish=lambda self, field: ranges)
    record = decode((domain, files[0], tmp_path / "field.npy"))
    assert record.status == "skipped"
    assert record.reason.startswith(f"fault in the domain: finish() returned {tuple(ranges)}, wanted ascending")


def test_a_failing_probe_skips_the_file(files):
    domain = test_domain.bad(probe=lambda self, path: {}["rate"])
    (found,) = inspect_sources(domain, scan(files, domain.suffixes), progress=Progress())["files"]
    assert (found["status"], found["reason"]) == ("skipped", "KeyError: 'rate'")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"draw": lambda self, atom, ax, *, limit: 1 / 0}, r"draw\(\) raised"),
        ({"tile": lambda self, atom: atom[None, None]}, r"tile\(\) raised"),
        ({"centre": lambda self, atom: {}["hertz"]}, r"centre\(\) raised"),
        ({"centre": lambda self, atom: float("nan")}, "has no frequency to order by"),
    ],
)
def test_a_failing_draw_method_is_a_one_line_error(tmp_path, replaced, words):
    whitener = Whitener("none", np.zeros(8, np.float32))
    model = Model(test_domain.bad(**replaced), whitener, start(3, 8, seed=0, rho=0.1), np.full(3, 0.1), {})
    with pytest.raises((PluginError, InputError), match=words):
        draw_atoms(model, tmp_path / "a.png", order="frequency" if "centre" in replaced else "activity")


def test_the_model_is_saved_before_pictures_are_drawn(sounds, tmp_path, monkeypatch, capfd):
    def fail(*_, **__):
        raise PluginError("no ink")

    monkeypatch.setattr("audiosae.commands.train.draw_atoms", fail)
    monkeypatch.setattr("sys.argv", ["audiosae", "train", str(sounds), "-o", str(tmp_path / "run"), *TRAIN])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    out, err = capfd.readouterr()
    assert stop.value.code == 1
    assert "learned 4 units" in out
    assert err.splitlines()[-1] == "audiosae: the model is saved, but atoms.png could not be drawn: no ink"
    assert (tmp_path / "run" / "model.safetensors").exists()


@pytest.mark.parametrize(("claimed", "wanted"), [(9.5, 9.5), (3.0, 10.0), (12.0, 10.0), (10.0, 10.0)])
def test_the_length_in_the_header_is_used_only_if_it_ends_within_the_last_row(files, tmp_path, claimed, wanted):
    domain = test_domain.bad(probe=lambda self, path: Probe(claimed, 10))  # estimated or wrong: the field has ten rows
    assert decode((domain, files[0], tmp_path / "field.npy")).extent == wanted


def test_an_error_names_the_package_that_declares_the_domain():
    message = r"^domain images: resolve\(\) raised KeyError: 1; please report this to audiosae-images$"
    with pytest.raises(PluginError, match=message), plugin_call(load_domain("images"), "resolve"):
        raise KeyError(1)
