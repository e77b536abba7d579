"""``audiosae diff``: a page that compares two models."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from audiosae.autoencoder.model import Model, as_model, path_of
from audiosae.commands.answer import Page
from audiosae.commands.report import run_folder_of
from audiosae.commands.shared_options import AnyPath, Machine, OutputPage, ShowProgress
from audiosae.corpus.sources import printable
from audiosae.system.parameters import Option, command
from audiosae.system.progress import Notes
from audiosae.views.diff_page import write_diff
from audiosae.views.page import check_page


def _text(page: Page) -> str:
    groups = ", ".join(f"{count} {group}" for group, count in page.facts["groups"].items())
    notes = "".join(f"\n{note}" for note in page.facts["notes"])
    return f"wrote {page.path}: {groups}{notes}\nnext: open {page.path} in a browser"


@command(example="audiosae diff first-run second-run -o diff.html", text=_text)
def diff(
    first: Annotated[
        Model | AnyPath,
        Option(
            "First model: a run folder or its model.safetensors.",
            "Input",
            flags=(),
            metavar="A",
            typed=Path,
            python="Also a Model.",
        ),
    ],
    second: Annotated[
        Model | AnyPath,
        Option(
            "Second model, of the same domain and with windows of the same shape.",
            "Input",
            flags=(),
            metavar="B",
            typed=Path,
        ),
    ],
    out: OutputPage,
    *,
    workers: Annotated[
        int | None, Option("Number of drawing processes.", "Machine", least=1, default="one per core")
    ] = None,
    progress: ShowProgress = False,
) -> Page:
    """Write a page that compares the atoms of two models.

    The page shows the atoms side by side: alike, changed, vanished, appeared. A pair of atoms is alike from a cosine of
    0.8 and changed from 0.5. Each unit has at most one partner; the pairs maximise the sum of the cosines (Kuhn 1955).

    Returns
    -------
    Page
        `facts["groups"]`: the number of pairs of units that are alike or changed, and of units without a partner;
        `facts["match"]`: the pairs.

    Raises
    ------
    InputError
        The models cannot be compared, or the page would replace a file that audiosae did not write.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, run
    >>> page = audiosae.diff(run, model, "diff.html")
    >>> page.facts["groups"]["alike"], page.facts["groups"]["vanished"]
    (6, 0)
    """
    path = Path(out)
    check_page(path)
    name, other = (printable(path_of(model) or "a model in memory") for model in (first, second))
    with Notes(progress) as notes:
        facts = write_diff(
            (as_model(first), as_model(second)),
            (name, other),
            path,
            runs=(run_folder_of(first), run_folder_of(second)),
            workers=Machine(workers).processes,
            progress=notes,
        )
    return Page(path, facts, [], notes.lines)
