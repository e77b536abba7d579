"""Options that several commands share, each declared once; see `audiosae.system.parameters`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypedDict

from audiosae.autoencoder.model import Model
from audiosae.corpus.cache import cache_folder
from audiosae.corpus.sources import Named
from audiosae.domain import Domain, load_domain, make_domain, parse_settings
from audiosae.system.parameters import Option
from audiosae.system.processes import worker_count
from audiosae.system.progress import Progress

AnyPath = str | PathLike[str]


ModelPath = Annotated[
    Model | AnyPath,
    Option(
        "Trained model: a run folder or its model.safetensors.",
        "Input",
        flags=(),
        metavar="MODEL",
        typed=Path,
        python="Also a Model.",
    ),
]
Sources = Annotated[
    Named,
    Option(
        "Files, and folders that are searched recursively.", "Input", flags=(), metavar="SOURCE...", typed=list[Path]
    ),
]
DomainName = Annotated[
    str | Domain, Option("Kind of input (see: audiosae domains).", "Input", typed=str, python="Also a Domain.")
]
DomainSettings = Annotated[
    Mapping[str, Any] | None,
    Option(
        "Option of the domain, such as n_mels=64.",
        "Input",
        flags=("--set",),
        metavar="KEY=VALUE",
        typed=list[str],
        parse=lambda _, texts: parse_settings(texts),
        python="A dictionary of options and values.",
    ),
]
LabelColumn = Annotated[str | None, Option("Column of the labels CSV.", "Input")]
Pool = Annotated[
    str | Sequence[str] | None,
    Option(
        "Pooling of the windows of a file: some of mean, max, std, change, with commas between.",
        "Method",
        typed=str,
        default="mean,max,std",
    ),
]
Segments = Annotated[int, Option("Number of equal time segments that are pooled separately.", "Method")]
CodeName = Annotated[
    Literal["sqrt", "activation", "share"],
    Option(
        "sqrt: square root of the activation; activation: as is; share: square root of the unit's share of the total.",
        "Method",
    ),
]
WhenName = Annotated[
    Literal["auto", "name", "metadata", "none"],
    Option(
        "Source of the recordings' date and time: file names (name), file headers (metadata), or both (auto).", "Input"
    ),
]
TimeZone = Annotated[
    str | None,
    Option("Time zone of timestamps that carry none, such as Europe/Berlin or UTC.", "Input", metavar="ZONE"),
]
Strict = Annotated[bool, Option("Fail (status 1) if any source was skipped.")]
StrictLabels = Annotated[
    bool, Option("Fail (status 1) if a source has no label, before any is read, or if any source was skipped.")
]
ShowProgress = Annotated[bool | Progress, Option("True shows progress bars in a terminal or a notebook.")]
OutputFile = Annotated[AnyPath | None, Option("File to write.", flags=("--out", "-o"), typed=Path)]


@dataclass(frozen=True)
class Machine:
    """Where and with what a command computes; the result does not depend on it, apart from rounding."""

    workers: Annotated[
        int | None, Option("Number of decoding processes.", "Machine", least=1, default="one per core")
    ] = None
    engine: Annotated[
        str,
        Option(
            "Where passes over all windows run: in this process, or on Dask workers.",
            "Machine",
            metavar="here|local:N|tcp://HOST:PORT",
        ),
    ] = "here"
    backend: Annotated[
        Literal["auto", "numpy", "cupy"],
        Option("Compute device: numpy (CPU), cupy (NVIDIA GPU), or auto, which uses a GPU if available.", "Machine"),
    ] = "auto"
    cache: Annotated[
        AnyPath | None, Option("Folder for decoded fields.", "Machine", typed=Path, default="the user's cache folder")
    ] = None
    tf32: Annotated[bool, Option("GPU only: TF32 matrix products (faster, about 3 digits).", "Machine")] = False

    @classmethod
    def of(cls, keywords: MachineKeywords) -> Self:
        """Return the options among the keywords of a command; those that are None or missing are the defaults."""
        names = cls.__dataclass_fields__.keys()
        given: dict[str, Any] = {n: value for n, value in keywords.items() if n in names and value is not None}
        return cls(**given)

    @property
    def processes(self) -> int:
        """Number of decoding processes."""
        return worker_count(self.workers)

    @property
    def folder(self) -> Path:
        """Folder for decoded fields on this machine."""
        return cache_folder(None if self.cache is None else Path(self.cache))

    @property
    def worker_folder(self) -> Path | None:
        """Folder for decoded fields on the workers: this machine's for local ones, else theirs unless one was given."""
        if self.engine.startswith("local:"):
            return self.folder.absolute()
        return None if self.cache is None else Path(self.cache).absolute()


class MachineKeywords(TypedDict, total=False):
    """Keywords of every command that reads sources; `Machine` declares them."""

    workers: int | None
    engine: str
    backend: Literal["auto", "numpy", "cupy"]
    cache: AnyPath | None


def make_domain_of(domain: str | Domain, settings: Mapping[str, Any] | None) -> Domain:
    """Return a domain that is given by name and settings, or as itself."""
    return domain if isinstance(domain, Domain) else make_domain(load_domain(domain), settings or {})
