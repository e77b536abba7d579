"""audiosae report, diff: pages to look at and listen to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from audiosae.cli import parameters as shared
from audiosae.cli.console import Console  # noqa: TC001 (its annotation is read)

if TYPE_CHECKING:
    from collections.abc import Sequence

Page = Annotated[Path, typer.Option("--out", "-o", metavar="PAGE.html", help="Page to write.")]


def report(  # noqa: PLR0917
    console: Console,
    model: shared.ModelPath,
    sources: shared.Sources,
    out: Page,
    labels: Annotated[str | None, typer.Option(metavar="folder|FILE.csv", help="Which labels units go with.")] = None,
    label_column: shared.LabelColumn = None,
    top: Annotated[int, typer.Option(help="Windows shown per unit, where there is room.", min=1, max=100)] = 10,
    size: Annotated[str, typer.Option(metavar="20M", help="Bound of the page's size.")] = "20M",
    workers: shared.Workers = None,
    backend: shared.Backend = "auto",
    engine: shared.EngineName = "here",
    cache: shared.Cache = None,
    strict: shared.Strict = False,  # noqa: FBT002
) -> None:
    """Write one page to look at and listen to: each unit, and the moments that excite it most."""
    from audiosae.autoencoder.model import load_model
    from audiosae.corpus.journal import told_of
    from audiosae.engine.reading import check_label_column, check_skipped, find, known_labels, labels_file, opened
    from audiosae.report import write_report
    from audiosae.training.train import with_short_ones_skipped

    check_label_column(labels, label_column)
    room = shared.byte_count("--size", size, least="10K")
    _check_place(out)
    loaded = load_model(model)
    found = find(loaded, sources, console)
    _check_place(out, [*(source.path for source in found), *labels_file(labels)])
    known, unlabelled = known_labels(labels, label_column, found, console, "shown without one", strict=strict)
    with opened(loaded, found, console, engine, backend, cache=cache, workers=workers) as corpus:
        facts = write_report(
            loaded, corpus, out, top=top, size=room, labels=known, label_name=label_column or "label",
            run=model if model.is_dir() else None, progress=console,
        )  # fmt: skip
    shown, mebibytes = facts["windows_per_unit"], facts["bytes"] / 2**20
    fewer = (
        f", not {facts['windows_per_unit_there']}: more would exceed --size {size}"
        if shown < facts["windows_per_unit_there"]
        else ""
    )
    told = f"wrote {out}: {facts['units']} units with {shown} windows each{fewer}; {mebibytes:.1f} MiB"
    told += f", {facts['sources_used']} sources ({facts['sources_skipped']} skipped)\nnext: open {out} in a browser"
    facts |= {"without_label": len(unlabelled), "unlabelled": unlabelled}
    console.result(told, facts | told_of(with_short_ones_skipped(corpus)))
    check_skipped(corpus.skipped, strict=strict)


def diff(
    console: Console,
    first: Annotated[Path, typer.Argument(metavar="A", help="A run folder or a model.safetensors.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    out: Page,
    workers: shared.Workers = None,
) -> None:
    """Write one page that shows two models' atoms side by side: alike, changed, vanished, appeared."""
    from audiosae.autoencoder.model import load_model
    from audiosae.report import write_diff
    from audiosae.system.processes import worker_count

    _check_place(out)
    runs = (first if first.is_dir() else None, second if second.is_dir() else None)
    facts = write_diff(
        (load_model(first), load_model(second)), (_name(first), _name(second)), out,
        runs=runs, workers=worker_count(workers), progress=console,
    )  # fmt: skip
    told = ", ".join(f"{count} {group}" for group, count in facts["groups"].items())
    told += "".join(f"\n{note}" for note in facts["notes"])
    console.result(f"wrote {out}: {told}\nnext: open {out} in a browser", facts)


def _name(path: Path) -> str:
    from audiosae.corpus.sources import printable

    return printable(path)


def _check_place(out: Path, inputs: Sequence[Path] = ()) -> None:
    """Refuse a page that cannot be written before the work is done."""
    from audiosae.errors import InputError
    from audiosae.system.files import check_replaceable, is_marked

    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: cannot write {out.suffix or 'that'}; wanted .html")
    if out.is_dir():
        raise InputError(f"cannot write {out}: it is a folder; give a file in it")
    if not out.parent.is_dir() or not os.access(out.parent, os.W_OK):
        raise InputError(f"cannot write {out}: {out.parent} is no folder that can be written; choose another with -o")
    check_replaceable(out, inputs, own=not out.exists() or is_marked(out))
