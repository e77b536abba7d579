"""Draw the picture of the page "Compare with the UFLDL notes", and print its table.

    python docs/ufldl.py [PICTURES...] [-o docs/ufldl.png]

Trains eight models with the options of the notes on sample pictures, or on other pictures or arrays: 25 units on
patches of 8 x 8 pixels and 100 units on patches of 10 x 10, with rho 0.01 and 0.05, whitened and as they are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

import audiosae

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae import Model

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS.parent / "plugins/audiosae-images/tests"))

from gabor import gabor_r2  # noqa: E402 (the fit that the tests use)

# the options of the exercise; contrast normalisation, a default of the plugin, is not part of it
NOTES: dict[str, Any] = {"beta": 3.0, "weight_decay": 1e-4, "contrast": False, "max_windows": 10000, "epochs": 400}
SIZES = ((8, 25), (10, 100))  # side of a patch, units
RHOS = (0.01, 0.05)
KINDS = {"whitened": "1/f", "as they are": "none"}  # value of the option `filter`
EDGE = 0.7  # R2 of the fit of a Gabor function, from which an atom counts as an edge


def learn(sources: Sequence[Path], *, size: int, units: int, rho: float, kind: str, cache: Path, **more: int) -> Model:
    """Train a model with the options of the notes."""
    settings = {"size": size, "filter": KINDS[kind]}
    options = NOTES | {"hidden": units, "rho": rho} | more
    return audiosae.train(sources, domain="images", settings=settings, cache=cache, **options).model


def edges(model: Model) -> float:
    """Return the share of atoms that a Gabor function fits with an R2 of at least 0.7."""
    return float(np.mean([gabor_r2(atom) >= EDGE for atom in model.atoms()[..., 0]]))


def tiles(model: Model) -> np.ndarray:
    """Return a square of all atoms, each scaled to its largest value, with lines between them."""
    atoms = model.atoms()[..., 0]
    side, rows = round(len(atoms) ** 0.5), atoms.shape[1] + 1
    picture = np.ones((side * rows + 1, side * rows + 1))
    for number, atom in enumerate(atoms):
        top, left = (1 + rows * place for place in divmod(number, side))
        picture[top : top + rows - 1, left : left + rows - 1] = atom / np.abs(atom).max()
    return picture


def draw(models: dict[tuple[int, int, float, str], tuple[Model, float]], path: Path) -> None:
    """Draw the atoms and the share of edges of each model; the upper row is of whitened pictures."""
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    axes = figure.subplots(2, 4)
    for (row, kind), (column, (size, units, rho)) in product(enumerate(KINDS), enumerate(columns())):
        ax, (model, share) = axes[row, column], models[size, units, rho, kind]
        ax.imshow(tiles(model), cmap="gray", vmin=-1, vmax=1, interpolation="nearest")
        ax.set_title(f"{units} units, {size} x {size}, rho {rho:g}: {100 * share:.0f} % edges", fontsize=9)
        ax.set(xticks=[], yticks=[])
        if not column:
            ax.set_ylabel(f"pictures {kind}")
    figure.savefig(path, dpi=110, metadata={"Software": None})


def columns() -> list[tuple[int, int, float]]:
    """Return side of a patch, units and rho of each column."""
    return [(*size, rho) for size, rho in product(SIZES, RHOS)]


def main(arguments: Sequence[str] | None = None) -> None:
    """Train the models, print a table and write the picture."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pictures", type=Path, nargs="*", help="pictures, arrays or folders  [default: the samples]")
    parser.add_argument("-o", "--out", type=Path, default=DOCS / "ufldl.png", help="[default: %(default)s]")
    parser.add_argument("--epochs", type=int, default=NOTES["epochs"], help="iterations of L-BFGS")
    parser.add_argument("--max-windows", type=int, default=NOTES["max_windows"], help="patches")
    options = parser.parse_args(arguments)
    sources = options.pictures or [DOCS.parent / "samples/pictures"]
    print("| pictures | units | patch | rho | share of edges | mean activity |\n|---|---|---|---|---|---|")
    models = {}
    with tempfile.TemporaryDirectory() as cache:
        for kind, (size, units, rho) in product(KINDS, columns()):
            how = {"size": size, "units": units, "rho": rho, "kind": kind, "cache": Path(cache)}
            model = learn(sources, **how, epochs=options.epochs, max_windows=options.max_windows)
            models[size, units, rho, kind] = model, edges(model)
            measured = f"{models[size, units, rho, kind][1]:.2f} | {np.mean(model.rho_hat):.3f}"
            cells = f"{kind} | {units} | {size} x {size} | {rho:g} | {measured}"
            print(f"| {cells} |", flush=True)
    draw(models, options.out)


if __name__ == "__main__":
    main()
