"""audiosae render, info, inspect, domains: looking at models, sources and domains."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (Typer reads it)
from typing import Annotated, Any, Literal

import typer

from audiosae.cli import parameters as shared
from audiosae.cli.console import Console, table


def render(  # noqa: PLR0917
    console: Console,
    model: shared.ModelPath,
    out: Annotated[Path, typer.Option("--out", "-o", help="Picture to write: .png, .svg or .pdf.")],
    show: Annotated[Literal["atom", "filter"], typer.Option(help="Patterns, or what units respond to most.")] = "atom",
    units: Annotated[str | None, typer.Option(metavar="0,5,7", help="Only these units, in this order.")] = None,
    order: Annotated[Literal["activity", "frequency", "index"], typer.Option(help="Of the units.")] = "activity",
    columns: Annotated[int | None, typer.Option(help="Tiles in a row.", min=1)] = None,
    tiles: Annotated[bool, typer.Option("--tiles", help="Plain tiles, each to its own range, no axes.")] = False,  # noqa: FBT002
) -> None:
    """Draw what a model has learned."""
    from audiosae.autoencoder.model import load_model
    from audiosae.system.files import check_replaceable, is_marked
    from audiosae.views.atoms import draw_atoms

    check_replaceable(out, [model], own=not out.exists() or is_marked(out))
    drawn = draw_atoms(
        load_model(model), out, show=show, units=_numbers(units), order=order, columns=columns, plain=tiles
    )
    console.result(f"drew {len(drawn)} units into {out}", {"picture": str(out), "units": drawn})


def info(console: Console, model: shared.ModelPath) -> None:
    """Describe a model: domain, options, training data, history, activity."""
    from audiosae.autoencoder.model import load_model
    from audiosae.features.stability import read
    from audiosae.features.summary import activity_of, summarise

    loaded, stability = load_model(model), read(model)
    activity = activity_of(loaded)
    facts = loaded.facts | {"window": list(loaded.domain.window), "activity": activity, "hidden": loaded.params.hidden}
    facts |= {"stability": stability.to_json()} if stability else {}
    console.result(table(summarise(loaded, activity, stability)), facts)


def inspect(  # noqa: PLR0917
    console: Console,
    sources: shared.Sources,
    domain: shared.DomainName = "spectrogram",
    set_: shared.Settings = None,
    when: shared.When = "auto",
    time_zone: shared.TimeZone = None,
) -> None:
    """Inspect sources by their headers: lengths, rates, broken files, estimated time and memory.

    A few are looked into as well, two seconds each: many with a constant offset are told.
    """
    from audiosae.commands.inspect import inspect_sources, told_extent
    from audiosae.corpus.sources import scan

    kind = shared.make(domain, set_)
    there = scan(sources, kind.suffixes, domain=kind.name, say=console.say)
    found = inspect_sources(kind, there, progress=console)
    if found["unit"] == "s":
        _add_dates(found, [source.path for source in there], when, time_zone)
    rows = [
        (f["file"], f["status"], told_extent(f["extent"], found["unit"]), _facts(f["facts"]), f["reason"])
        for f in found["files"]
    ]
    shown = rows if len(rows) <= 60 else [*(r for r in rows if r[1] != "ok"), ("...", "", "", "", "")]  # noqa: PLR2004
    lines = [table([("file", "status", "length", "what", "reason"), *shown]), "", *found["told"]]
    console.result("\n".join(lines), {key: value for key, value in found.items() if key != "told"})


def _add_dates(found: dict[str, Any], paths: list[Path], when: shared.When, time_zone: str | None) -> None:
    """Put what is known of date and time into what was found: `time` of each file, `dates`, and a line."""
    from audiosae.recordings.dates import read_dates

    dates = read_dates(paths, when=when, time_zone=time_zone)
    for file, start in zip(found["files"], dates.starts, strict=True):
        file["time"] = start.isoformat() if start else None
    found["dates"] = {"form": dates.form, "note": dates.note}
    found["told"].append(dates.note)


def domains(console: Console) -> None:
    """List the kinds of input: package, version, options with defaults; broken ones with the reason."""
    from audiosae.domain import list_domains, load_domain, option_defaults
    from audiosae.training.options import TrainOptions, flag

    listed, lines = [], []
    for listing in list_domains():
        facts: dict[str, Any] = {"name": listing.name, "package": listing.package, "version": listing.version}
        lines.append(f"{listing.name}  ({listing.package} {listing.version})")
        try:
            cls = load_domain(listing.name)
            options = TrainOptions.resolve(cls.defaults, {}, domain=listing.name).to_json()
        except Exception as error:  # noqa: BLE001 (whatever a stranger's plugin does, the others are listed)
            facts["broken"] = str(error)
            lines.append(f"  broken: {error}")
        else:
            facts |= {"options": option_defaults(cls), "training": options, "suffixes": list(cls.suffixes)}
            own = "  ".join(f"{key}={value}" for key, value in option_defaults(cls).items())
            lines.append(f"  --set {own}" if own else "  no options of its own")
            chosen = [flag(key) if value is True else f"{flag(key)} {value}"
                      for key, value in cls.defaults.items() if value is not False]  # fmt: skip
            told = "  ".join(chosen)  # as it is typed: a switch has no value
            lines.append(f"  trains with: {told or 'the defaults of train'}")
        listed.append(facts)
    console.result("\n".join(lines), {"domains": listed})


def _numbers(text: str | None) -> list[int] | None:
    from audiosae.errors import InputError

    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise InputError(f"--units {text}: wanted numbers with commas between, for instance 0,5,7") from None


def _facts(facts: dict[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in facts.items())
