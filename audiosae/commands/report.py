"""Pages from files to HTML, as ``audiosae report`` and ``audiosae diff`` make them."""

from __future__ import annotations

from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.commands.model import opened_model, path_of
from audiosae.commands.reading import check_label_column, find, known_labels, labels_file, opened
from audiosae.corpus.journal import told_of
from audiosae.corpus.sources import named_paths, printable
from audiosae.errors import InputError
from audiosae.system.processes import worker_count
from audiosae.system.progress import Notes, Progress
from audiosae.training.fit import with_short_ones_skipped
from audiosae.views.diff_page import write_diff
from audiosae.views.page import check_page
from audiosae.views.units_page import write_report

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from audiosae.commands.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Named

SIZE = 20 * 2**20
_LEAST_SIZE, _MOST_TOP = 10 * 2**10, 100


@dataclass(frozen=True)
class Page:
    """A page that was written: one file of HTML that opens offline.

    Attributes
    ----------
    path
        Of the file.
    facts
        What ``report --json`` or ``diff --json`` prints: how many units, windows, sources; pairs of units.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages: what was passed over, not whole or without a label.

    Examples
    --------
    >>> page = audiosae.report_units(model, sounds, "report.html")
    >>> page.path.name, page.facts["units"], page.skipped
    ('report.html', 6, [])
    """

    path: Path
    facts: Mapping[str, Any] = field(default_factory=dict, repr=False)
    skipped: Sequence[Record] = field(default=(), repr=False)
    notes: Sequence[str] = field(default=(), repr=False)

    def _repr_html_(self) -> str:
        """Return a link to the page, for a notebook."""
        return f'<a href="{escape(self.path.as_posix())}" target="_blank">{escape(str(self.path))}</a>'


def report_units(
    model: Model | str | os.PathLike[str], sources: Named, out: str | os.PathLike[str], *,
    labels: str | os.PathLike[str] | None = None, label_column: str | None = None, top: int = 10, size: int = SIZE,
    strict: bool = False, workers: int | None = None, engine: str = "here", backend: str = "auto",
    cache: str | os.PathLike[str] | None = None, progress: bool | Progress = False,
) -> Page:  # fmt: skip
    """Write a page with each unit of a model, and the moments that excite it most (``audiosae report``).

    Parameters
    ----------
    model
        Itself, its run folder or its file; of a run folder the training history is shown too.
    sources
        A file or folder, or several.
    out
        The page, .html.
    labels, label_column
        ``folder`` for the name of each source's folder, or a CSV with a column filename; its column of labels. The page
        says which labels a unit goes with.
    top
        Windows shown per unit, 1 to 100, where there is room.
    size
        Bytes that the page may have, 10240 or more.
    strict
        Refuse sources without a label, before any is read.
    workers, engine, backend, cache
        Decoding processes (one per core), where the work is done and by what (auto takes an NVIDIA card where there is
        one), folder for decoded fields (the user's cache).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Page
        `path`, `facts`, `skipped`; a notebook shows a link to it.

    Raises
    ------
    InputError
        No source can be used, an option is wrong, `size` is too small for the units alone, or the page would take the
        place of a file that audiosae did not write.

    Examples
    --------
    >>> page = audiosae.report_units(run, sounds, "report.html", labels="folder", top=3)
    >>> page.facts["units"], page.facts["windows_per_unit"], page.facts["bytes"] == page.path.stat().st_size
    (6, 3, True)
    """
    place, given = Path(out), None if labels is None else str(labels)
    check_label_column(given, label_column)
    if not 1 <= top <= _MOST_TOP:
        raise InputError(f"--top {top}: wanted 1 to {_MOST_TOP}")
    if size < _LEAST_SIZE:
        raise InputError(f"--size {size}: wanted at least {_LEAST_SIZE} bytes")
    check_page(place)
    loaded = opened_model(model)
    with Notes(progress) as notes:
        found = find(loaded, named_paths(sources), notes)
        check_page(place, [*(source.path for source in found), *labels_file(given)])
        known, unlabelled = known_labels(given, label_column, found, notes, "shown without one", strict=strict)
        with opened(loaded, found, notes, engine, backend, cache=cache, workers=workers) as corpus:
            facts = write_report(
                loaded, corpus, place, top=top, size=size, labels=known, label_name=label_column or "label",
                run=_run_of(model), progress=notes,
            )  # fmt: skip
    facts |= {"without_label": len(unlabelled), "unlabelled": unlabelled, **told_of(with_short_ones_skipped(corpus))}
    return Page(place, facts, corpus.skipped, notes.lines)


def compare_models(
    first: Model | str | os.PathLike[str], second: Model | str | os.PathLike[str], out: str | os.PathLike[str], *,
    workers: int | None = None, progress: bool | Progress = False,
) -> Page:  # fmt: skip
    """Write a page that shows two models' atoms side by side: alike, changed, vanished, appeared (``audiosae diff``).

    A pair of atoms is alike from a cosine of 0.8 and changed from 0.5; each unit has one partner at most, such that the
    sum of the cosines is greatest (Kuhn 1955).

    Parameters
    ----------
    first, second
        Of one domain, with windows of one shape: themselves, their run folders or files.
    out
        The page, .html.
    workers
        Processes that draw (one per core).
    progress
        True for bars in a terminal or a notebook.

    Returns
    -------
    Page
        `facts["groups"]` says how many pairs of units are alike and changed, and how many have no partner;
        `facts["match"]` which they are.

    Raises
    ------
    InputError
        The models cannot be compared, or the page would take the place of a file that audiosae did not write.

    Examples
    --------
    >>> page = audiosae.compare_models(run, model, "diff.html")
    >>> page.facts["groups"]["alike"], page.facts["groups"]["vanished"]
    (6, 0)
    """
    place = Path(out)
    check_page(place)
    with Notes(progress) as notes:
        facts = write_diff(
            (opened_model(first), opened_model(second)), (_name(first), _name(second)), place,
            runs=(_run_of(first), _run_of(second)), workers=worker_count(workers), progress=notes,
        )  # fmt: skip
    return Page(place, facts, [], notes.lines)


def _run_of(model: Model | str | os.PathLike[str]) -> Path | None:
    """Return the run folder of a model that is given as one."""
    lies = path_of(model)
    return lies if lies and lies.is_dir() else None


def _name(model: Model | str | os.PathLike[str]) -> str:
    lies = path_of(model)
    return printable(lies) if lies else "a model in memory"
