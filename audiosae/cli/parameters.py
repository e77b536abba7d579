"""The options that several commands share, and how they become what the library wants."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from audiosae.domain import Domain

_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


Sources = Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Files, and folders searched recursively.")]
ModelPath = Annotated[Path, typer.Argument(metavar="MODEL", help="A run folder or a model.safetensors.")]
DomainName = Annotated[str, typer.Option("--domain", help="Kind of input; see: audiosae domains.")]
Settings = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="An option of the domain.")]
Workers = Annotated[int | None, typer.Option(help="Decoding processes; default: one per core.", min=1)]
EngineName = Annotated[
    str, typer.Option("--engine", metavar="here|local:N|tcp://HOST:PORT", help="This process, or workers of Dask.")
]
Backend = Annotated[
    Literal["auto", "numpy", "cupy"],
    typer.Option("--backend", help="Where it is computed: auto takes an NVIDIA card where there is one."),
]
Pool = Annotated[
    str | None, typer.Option(help="How windows are pooled: mean, max, std, change.  [default: the first three]")
]
Segments = Annotated[int, typer.Option(help="Parts in time that are pooled apart.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit with 1 if any source was skipped.")]
StrictLabels = Annotated[bool, typer.Option("--strict", help="Exit with 1 if a source was skipped or has no label.")]
LabelColumn = Annotated[str | None, typer.Option(help="Of the labels CSV.")]
Code = Annotated[
    Literal["sqrt", "activation", "share"],
    typer.Option(help="Root of the activation, the activation, or the root of its share."),
]
When = Annotated[
    Literal["auto", "name", "metadata", "none"],
    typer.Option(help="Where date and time of recordings are read: file names, metadata."),
]
TimeZone = Annotated[str | None, typer.Option(metavar="ZONE", help="Of times that state none: Europe/Berlin, UTC.")]
Cache = Annotated[Path | None, typer.Option(help="Folder for decoded fields.  [default: the user's cache folder]")]


def make(name: str, settings: list[str] | None) -> Domain:
    """Build a domain from ``--domain`` and ``--set``."""
    from audiosae.domain import load_domain, make_domain, parse_settings

    return make_domain(load_domain(name), parse_settings(settings or []))


def byte_count(option: str, text: str, *, least: str = "0") -> int:
    """Return the number of bytes that a text such as 512M or 1.5G stands for; refuse fewer than `least`."""
    from audiosae.errors import InputError

    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if not found:
        raise InputError(f"{option} {text}: wanted a size such as 512M or 20G")
    count = int(float(found[1]) * _UNITS[found[2].upper()])
    if least != "0" and count < byte_count(option, least):
        raise InputError(f"{option} {text}: wanted at least {least}")
    return count
