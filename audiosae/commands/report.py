"""``audiosae report``: a page with each unit of a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Unpack

from audiosae.autoencoder.model import as_model, path_of
from audiosae.commands.answer import Page
from audiosae.commands.reading import labels_option, reading
from audiosae.commands.shared_options import (
    AnyPath,
    LabelColumn,
    Machine,
    MachineKeywords,
    ModelPath,
    OutputPage,
    ShowProgress,
    Sources,
    StrictLabels,
)
from audiosae.corpus.journal import source_summary
from audiosae.system.parameters import Option, byte_count, command
from audiosae.training.fit import with_short_skipped
from audiosae.views.page import check_page
from audiosae.views.units_page import write_report

if TYPE_CHECKING:
    import os

    from audiosae.autoencoder.model import Model

_LEAST_SIZE = 10 * 2**10
_MIB = 2**20


def _text(page: Page) -> str:
    facts = page.facts
    shown, available = facts["windows_per_unit"], facts["windows_per_unit_there"]
    fewer = f" (of {available}: more would exceed --size)" if shown < available else ""
    left_out = f" ({facts['windows_left_out']} left out as silent or blank)" if facts["windows_left_out"] else ""
    return (
        f"wrote {page.path}: {facts['units']} units with {shown} windows each{fewer}; "
        f"{facts['bytes'] / _MIB:.1f} MiB, {facts['windows']} windows{left_out} of {facts['sources_used']} sources "
        f"({facts['sources_skipped']} skipped)\n"
        f"next: open {page.path} in a browser"
    )


@command(
    example="audiosae report first-run samples/sounds -o report.html --labels folder", text=_text, declared=(Machine,)
)
def report(
    model: ModelPath,
    sources: Sources,
    out: OutputPage,
    *,
    labels: Annotated[
        AnyPath | None,
        Option(
            "Labels to show with units: folder for the name of each file's folder, or a CSV with a column filename.",
            "Input",
            metavar="folder|FILE.csv",
            typed=str,
        ),
    ] = None,
    label_column: LabelColumn = None,
    top: Annotated[int, Option("Largest number of windows per unit; --size may allow fewer.", least=1, most=100)] = 10,
    size: Annotated[
        int,
        Option(
            "Upper limit for the size of the page.",
            python="In bytes.",
            metavar="20M",
            typed=str,
            default="20M",
            least=_LEAST_SIZE,
            wanted=f"at least {_LEAST_SIZE} bytes",
            parse=lambda option, text: byte_count(option, text, least="10K"),
        ),
    ] = 20 * _MIB,
    strict: StrictLabels = False,
    progress: ShowProgress = False,
    **machine: Unpack[MachineKeywords],
) -> Page:
    """Write a page to see and hear each unit of a model.

    The page plays the windows with the highest activation of each unit. If MODEL is a run folder,
    the page also shows the training history.

    Returns
    -------
    Page
        `path`, `facts`, `skipped`; a notebook shows a link to it.

    Raises
    ------
    InputError
        No source can be used, an option is wrong, `size` is too small for the units alone, or the page would replace a
        file that audiosae did not write.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import run, sounds
    >>> page = audiosae.report(run, sounds, "report.html", labels="folder", top=3)
    >>> page.facts["units"], page.facts["windows_per_unit"], page.facts["bytes"] == page.path.stat().st_size
    (6, 3, True)
    """
    path, label_source = Path(out), labels_option(labels, label_column)
    check_page(path)
    loaded = as_model(model)
    with reading(loaded.domain, sources, Machine.of(machine), progress=progress) as job:
        check_page(path, job.inputs(label_source))
        known, unlabelled = job.labels(label_source, label_column, "which are shown without a label", strict=strict)
        with job.corpus(padded=False) as corpus:
            records = with_short_skipped(corpus)
            facts = write_report(
                loaded,
                corpus,
                path,
                top=top,
                size=size,
                labels=known,
                label_name=label_column or "label",
                run=run_folder_of(model),
                progress=job.notes,
            )
    facts |= {"without_label": len(unlabelled), "unlabelled": unlabelled, **source_summary(records)}
    return Page(path, facts, [record for record in records if record.status != "used"], job.notes.lines)


def run_folder_of(model: Model | str | os.PathLike[str]) -> Path | None:
    """Return the run folder if a model is given by its run folder."""
    location = path_of(model)
    return location if location and location.is_dir() else None
