"""What the plugin is for: from pictures to oriented edges, through the command line."""

import json
import subprocess
import sys

import numpy as np
import pytest
from gabor import gabor_r2, share_of_edges
from PIL import Image
from scenes import leaves

from audiosae import load_model

CLASSIC = "--solver lbfgs --decoder sigmoid --whiten scale --rho 0.01 --max-windows 10000 --hidden 25 --epochs 400"


def train(folder, run, *options):
    """Train and return the model."""
    command = [sys.executable, "-m", "audiosae", "train", folder, "--domain", "images", "-o", run, "--json", *options]
    done = subprocess.run(
        [str(part) for part in [*command, "--cache", run.parent / "cache", "--workers", 1]],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["dead_units"] == 0
    return load_model(run)


def test_noise_is_no_edge_and_a_grating_under_a_window_is():
    noise = np.random.default_rng(0).normal(size=(20, 10, 10))
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


def test_the_classic_setting_makes_every_unit_an_edge(scenes, tmp_path):
    model = train(scenes, tmp_path / "run", *CLASSIC.split(), "--set", "size=8")
    assert model.atoms().shape == (25, 8, 8, 1)
    assert share_of_edges(model.atoms()[..., 0]) == 1


@pytest.mark.parametrize("options", [("color=rgb",), ("filter=1/f",)])
def test_a_few_iterations_learn_in_colour_and_on_filtered_pictures(scenes, tmp_path, options):
    settings = [part for option in options for part in ("--set", option)]
    model = train(scenes, tmp_path / "run", "--hidden", 9, "--max-windows", 2000, "--epochs", 20, *settings)
    assert model.atoms().shape == (9, *model.domain.window)


@pytest.mark.slow
def test_the_defaults_make_edges_of_pictures_they_were_not_chosen_on(tmp_path):
    datasets = pytest.importorskip("sklearn.datasets")
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, pixels in enumerate(datasets.load_sample_images().images):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    model = train(folder, tmp_path / "run")
    assert model.atoms().shape == (100, 10, 10, 1)
    assert share_of_edges(model.atoms()[..., 0]) >= 0.9
