"""audiosae report, diff: pages to look at and listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiosae.cli import parameters as shared
from audiosae.cli.console import Console  # noqa: TC001 (its annotation is read)

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
    strict: shared.StrictLabels = False,  # noqa: FBT002
) -> None:
    """Write one page to look at and listen to: each unit, and the moments that excite it most."""
    from audiosae.commands.reading import check_skipped
    from audiosae.commands.report import report_units

    page = report_units(
        model, sources, out, labels=labels, label_column=label_column, top=top,
        size=shared.byte_count("--size", size, least="10K"), strict=strict, workers=workers, engine=engine,
        backend=backend, cache=cache, progress=console,
    )  # fmt: skip
    facts = page.facts
    shown, there = facts["windows_per_unit"], facts["windows_per_unit_there"]
    fewer = f", not {there}: more would exceed --size {size}" if shown < there else ""
    told = f"wrote {out}: {facts['units']} units with {shown} windows each{fewer}; {facts['bytes'] / 2**20:.1f} MiB"
    told += f", {facts['sources_used']} sources ({facts['sources_skipped']} skipped)\nnext: open {out} in a browser"
    console.result(told, facts)
    check_skipped(page.skipped, strict=strict)


def diff(
    console: Console,
    first: Annotated[Path, typer.Argument(metavar="A", help="A run folder or a model.safetensors.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    out: Page,
    workers: shared.Workers = None,
) -> None:
    """Write one page that shows two models' atoms side by side: alike, changed, vanished, appeared."""
    from audiosae.commands.report import compare_models

    facts = compare_models(first, second, out, workers=workers, progress=console).facts
    told = ", ".join(f"{count} {group}" for group, count in facts["groups"].items())
    told += "".join(f"\n{note}" for note in facts["notes"])
    console.result(f"wrote {out}: {told}\nnext: open {out} in a browser", facts)
