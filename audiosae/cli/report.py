"""audiosae report, diff: pages to look at and listen to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from audiosae.cli.console import Console
from audiosae.cli.parameters import (
    AsJson,
    BackendChoice,
    BackendName,
    Cache,
    EngineName,
    LabelColumn,
    ModelPath,
    Quiet,
    Sources,
    Strict,
    Workers,
    byte_count,
)

Page = Annotated[Path, typer.Option("--out", "-o", metavar="PAGE.html", help="Page to write.")]


def report(  # noqa: PLR0917
    model: ModelPath,
    sources: Sources,
    out: Page,
    labels: Annotated[str | None, typer.Option(metavar="folder|FILE.csv", help="Which labels units go with.")] = None,
    label_column: LabelColumn = None,
    top: Annotated[int, typer.Option(help="Windows shown per unit, where there is room.", min=1, max=100)] = 10,
    size: Annotated[str, typer.Option(metavar="20M", help="Bound of the page's size.")] = "20M",
    workers: Workers = None,
    backend: BackendChoice = BackendName.auto,
    engine: EngineName = "here",
    cache: Cache = None,
    strict: Strict = False,  # noqa: FBT002
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write one page to look at and listen to: each unit, and the moments that excite it most."""
    from audiosae.engine.reading import check_skipped
    from audiosae.report.reporting import report_units

    console = Console(quiet=quiet, as_json=as_json)
    page = report_units(
        model, sources, out, labels=labels, label_column=label_column, top=top,
        size=byte_count("--size", size, least="10K"), strict=strict, workers=workers, engine=engine,
        backend=backend.value, cache=cache, progress=console,
    )  # fmt: skip
    facts = page.facts
    shown, there = facts["windows_per_unit"], facts["windows_per_unit_there"]
    fewer = f", not {there}: more would exceed --size {size}" if shown < there else ""
    told = f"wrote {out}: {facts['units']} units with {shown} windows each{fewer}; {facts['bytes'] / 2**20:.1f} MiB"
    told += f", {facts['sources_used']} sources ({facts['sources_skipped']} skipped)\nnext: open {out} in a browser"
    console.result(told, facts)
    check_skipped(page.skipped, strict=strict)


def diff(  # noqa: PLR0917
    first: Annotated[Path, typer.Argument(metavar="A", help="A run folder or a model.safetensors.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    out: Page,
    workers: Workers = None,
    quiet: Quiet = False,  # noqa: FBT002
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Write one page that shows two models' atoms side by side: alike, changed, vanished, appeared."""
    from audiosae.report.reporting import compare_models

    console = Console(quiet=quiet, as_json=as_json)
    facts = compare_models(first, second, out, workers=workers, progress=console).facts
    told = ", ".join(f"{count} {group}" for group, count in facts["groups"].items())
    told += "".join(f"\n{note}" for note in facts["notes"])
    console.result(f"wrote {out}: {told}\nnext: open {out} in a browser", facts)
