"""``audiosae render``: pictures of atoms and filters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.answer import Answer
from audiosae.commands.shared_options import AnyPath, ModelPath
from audiosae.errors import InputError
from audiosae.system.files import check_replaceable, is_marked
from audiosae.system.parameters import Option, command
from audiosae.views.atoms import draw_atoms


def _numbers(option: str, text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"{option} {text}: wanted unit numbers separated by commas, for instance 0,5,7") from None


@command(example="audiosae render first-run -o some.png --units 0,1,2,3,4,5 --show filter")
def render(
    model: ModelPath,
    out: Annotated[AnyPath, Option("Picture to write: .png, .svg or .pdf.", flags=("--out", "-o"), typed=Path)],
    *,
    show: Annotated[
        Literal["atom", "filter"],
        Option("Atoms (the patterns that units stand for) or filters (the inputs that units respond to most)."),
    ] = "atom",
    units: Annotated[
        Sequence[int] | None,
        Option("Numbers of the units to draw, in this order.", metavar="0,5,7", typed=str, parse=_numbers),
    ] = None,
    order: Annotated[Literal["activity", "frequency", "index"], Option("Order of the units.")] = "activity",
    columns: Annotated[int | None, Option("Number of tiles in a row.", least=1)] = None,
    tiles: Annotated[bool, Option("Draw plain tiles without axes, each scaled to its own range.")] = False,
) -> Answer:
    """Draw the atoms of a model.

    Returns
    -------
    Answer
    """
    path, location = Path(out), path_of(model)
    check_replaceable(path, [location] if location else [], own=not path.exists() or is_marked(path))
    drawn = draw_atoms(as_model(model), path, show=show, units=units, order=order, columns=columns, plain=tiles)
    return Answer(f"drew {len(drawn)} units into {path}", {"picture": str(path), "units": drawn})
