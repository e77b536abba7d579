"""The main use of the plugin: oriented edges learned from pictures, through the command line."""

import json
import sys

import numpy as np
import pytest
from gabor import gabor_r2, share_of_edges
from PIL import Image
from scenes import leaves

from audiosae import cli, load_model

CLASSIC = "--solver lbfgs --decoder sigmoid --whiten scale --rho 0.01 --set size=8"


@pytest.fixture
def train(tmp_path, monkeypatch, capsys):
    """Train with the command line and return the model."""

    def call(folder, *options):
        where = ["-o", tmp_path / "run", "--cache", tmp_path / "cache", "--workers", 1, "--json"]
        command = ["audiosae", "train", folder, "--domain", "images", *where, *options]
        monkeypatch.setattr(sys, "argv", [str(part) for part in command])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        assert stop.value.code == 0, err
        assert json.loads(out)["dead_units"] == 0
        return load_model(tmp_path / "run")

    return call


def test_noise_is_not_an_edge_and_a_windowed_grating_is():
    noise = np.random.default_rng(0).normal(size=(10, 10, 10))
    assert share_of_edges(noise) == 0
    y, x = np.mgrid[:10, :10]
    edge = np.exp(-((x - 5) ** 2 + (y - 4) ** 2) / 8) * np.sin(0.5 * x + 0.8 * y)
    assert gabor_r2(edge) > 0.99


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    for seed in range(3):
        scene = leaves(seed, 400, 400, 1500).reshape(200, 2, 200, 2).mean(axis=(1, 3))
        Image.fromarray(scene.round().astype(np.uint8)).save(folder / f"{seed}.png")
    return folder


@pytest.mark.parametrize(
    ("units", "windows", "epochs"), [(16, 2000, 60), pytest.param(25, 10000, 400, marks=pytest.mark.slow)]
)
def test_the_classic_options_make_every_unit_an_edge(scenes, train, units, windows, epochs):
    model = train(scenes, *CLASSIC.split(), "--hidden", units, "--max-windows", windows, "--epochs", epochs)
    assert model.atoms().shape == (units, 8, 8, 1)
    assert share_of_edges(model.atoms()[..., 0]) == 1


@pytest.mark.parametrize("options", [("color=rgb",), ("filter=1/f",)])
def test_a_few_iterations_learn_in_colour_and_on_filtered_pictures(scenes, train, options):
    settings = [part for option in options for part in ("--set", option)]
    model = train(scenes, "--hidden", 4, "--max-windows", 2000, "--epochs", 20, *settings)
    assert model.atoms().shape == (4, *model.domain.window)


@pytest.mark.parametrize(
    ("units", "few"),
    [
        (12, ("--hidden", 12, "--max-windows", 6000, "--epochs", 60)),
        pytest.param(100, ("--epochs", 150), marks=pytest.mark.slow),
    ],
)
def test_the_defaults_make_edges_on_other_pictures(tmp_path, train, units, few):
    from sklearn import datasets

    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(datasets.load_sample_images().images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    model = train(folder, *few)
    assert model.atoms().shape == (units, 10, 10, 1)
    assert share_of_edges(model.atoms()[..., 0]) >= 0.9
