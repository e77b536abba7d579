"""Options that several commands share; see `audiosae.system.parameters`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypedDict

from audiosae.autoencoder.model import Model
from audiosae.corpus.cache import cache_folder
from audiosae.corpus.sources import Named
from audiosae.corpus.temporary_cache import temporary_cache
from audiosae.domain import Domain, load_domain, make_domain, parse_settings
from audiosae.errors import InputError
from audiosae.recordings.date_groups import When
from audiosae.system.parameters import Option
from audiosae.system.processes import worker_count
from audiosae.system.progress import Progress

AnyPath = str | PathLike[str]
_DIGITS = 4  # of the number of a channel; no format has more than 1024

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
        "Input files, and folders that are searched recursively.",
        "Input",
        flags=(),
        metavar="SOURCE...",
        typed=list[Path],
    ),
]
DomainName = Annotated[
    str | Domain,
    Option("Kind of input; audiosae domains lists all kinds.", "Input", typed=str, python="Also a Domain."),
]
DomainSettings = Annotated[
    Mapping[str, Any] | None,
    Option(
        "Option of the domain, such as n_mels=64; may be repeated.",
        "Input",
        flags=("--set",),
        metavar="KEY=VALUE",
        typed=list[str],
        parse=lambda _, texts: parse_settings(texts),
        python="A dictionary of options and their values.",
    ),
]
LabelColumn = Annotated[str | None, Option("Column of the labels CSV that has the labels.", "Input")]
Pool = Annotated[
    str | Sequence[str] | None,
    Option(
        "Pooling of the windows of a file: some of mean, max, std and change, separated by commas.",
        "Method",
        typed=str,
        default="mean,max,std,change for recordings, mean,max,std for other inputs",
    ),
]
Segments = Annotated[int, Option("Number of equal time segments of a file that are pooled separately.", "Method")]
CodeName = Annotated[
    Literal["sqrt", "activation", "share"] | None,
    Option(
        "How the activation of a unit is coded. sqrt: square root; activation: unchanged; share: square root of its "
        "share of the activations of all units.",
        "Method",
        default="share for files and annotations of recordings, else sqrt",
    ),
]
_WHEN = Option(
    "Source of the recordings' date and time: file names (name), file headers (metadata), both (auto) or none.", "Input"
)
WhenName = Annotated[When, _WHEN]
WhenGiven = Annotated[When | None, replace(_WHEN, default="auto")]  # None where it was not given
DateOrder = Annotated[
    Literal["YMD", "DMY", "MDY"] | None,
    Option(
        "Order of year (Y), month (M) and day (D) in file names that can be read in several ways.",
        "Input",
        default="recognised from the names",
    ),
]
TimeZone = Annotated[
    str | None,
    Option("Time zone of timestamps without one, such as Europe/Berlin or UTC.", "Input", metavar="ZONE"),
]
Channel = Annotated[
    int | str | None,
    Option(
        "Channel of the recordings to read: its number, from 1, or mix for the mean of all channels.",
        "Input",
        metavar="mix|N",
        typed=str,
        default="mix, or the channel that the model was trained on",
    ),
]
Strict = Annotated[bool, Option("Fail (status 1) if any source was skipped.")]
StrictLabels = Annotated[
    bool,
    Option("Fail (status 1) at the start if a source has no label, or at the end if any source was skipped."),
]
ShowProgress = Annotated[bool | Progress, Option("Show progress bars in a terminal or a notebook.")]
OutputPage = Annotated[AnyPath, Option("Page to write.", flags=("--out", "-o"), metavar="PAGE.html", typed=Path)]
CacheFolder = Annotated[
    AnyPath | None,
    Option("Cache folder for decoded sources.", "Machine", typed=Path, default="the user's cache folder"),
]
NO_CACHE = "none"


@dataclass(frozen=True)
class Machine:
    """Options of the machine. They affect speed and memory; the result changes only by rounding."""

    workers: Annotated[
        int | None, Option("Number of decoding processes.", "Machine", least=1, default="one per core")
    ] = None
    engine: Annotated[
        str,
        Option(
            "Where passes over all windows run: in this process (here), on N Dask workers of this machine (local:N), "
            "or on the workers of a Dask scheduler (tcp://HOST:PORT).",
            "Machine",
            metavar="here|local:N|tcp://HOST:PORT",
        ),
    ] = "here"
    backend: Annotated[
        Literal["auto", "numpy", "cupy"],
        Option("Compute device: numpy (CPU), cupy (NVIDIA GPU), or auto (the GPU if available).", "Machine"),
    ] = "auto"
    cache: Annotated[
        AnyPath | None,
        Option(
            "Cache folder for decoded sources; none keeps nothing of them after the command.",
            "Machine",
            metavar=f"{NO_CACHE}|FOLDER",
            typed=Path,
            default="the user's cache folder",
        ),
    ] = None
    tf32: Annotated[bool, Option("Use TF32 matrix products on a GPU (faster, about 3 digits).", "Machine")] = False

    @classmethod
    def of(cls, keywords: MachineKeywords) -> Self:
        """Return the options among the keywords of a command; None or a missing keyword is the default."""
        options: dict[str, Any] = {name: keywords.get(name) for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in options.items() if value is not None})

    @property
    def processes(self) -> int:
        """Number of decoding processes."""
        return worker_count(self.workers)

    @property
    def keeps(self) -> bool:
        """Whether decoded fields are kept on this machine after the command."""
        return self.cache is None or os.fspath(self.cache) != NO_CACHE

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """Yield the folder for decoded fields on this machine; with ``--cache none``, one that is removed after it."""
        if self.keeps:
            yield cache_folder(as_path(self.cache))
            return
        try:
            with temporary_cache() as folder:
                yield folder
        except KeyboardInterrupt as error:
            error.add_note(f"with --cache {NO_CACHE}, no decoded file is kept on this machine")
            raise

    def worker_folder(self, folder: Path) -> Path | None:
        """Return the folder for decoded fields on the workers; None for the default of each worker.

        Workers on this machine share `folder`, that of this machine.
        """
        if self.engine.startswith("local:"):
            return folder.absolute()
        return None if self.cache is None or not self.keeps else folder.absolute()


class MachineKeywords(TypedDict, total=False):
    """Keywords of every command that reads sources; `Machine` declares them."""

    workers: int | None
    engine: str
    backend: Literal["auto", "numpy", "cupy"]
    cache: AnyPath | None


def make_domain_of(domain: str | Domain, settings: Mapping[str, Any] | None) -> Domain:
    """Return a domain given by name and settings, or as a Domain."""
    if not isinstance(settings or {}, Mapping):
        raise InputError(f"settings {settings!r}: wanted a dictionary of options and values")
    return domain if isinstance(domain, Domain) else make_domain(load_domain(domain), settings or {})


def channel_number(channel: int | str) -> int:
    """Return the number of the channel of the option `Channel`; 0 for mix.

    Raises
    ------
    InputError
        The option is neither mix nor a whole number of at least 1.
    """
    text = str(channel).strip().lower()
    if text == "mix":
        return 0
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS and int(text)):
        raise InputError(f"--channel {channel}: wanted mix, or the number of a channel, from 1")
    return int(text)


def as_path(path: AnyPath | None) -> Path | None:
    """Return an optional path as a Path."""
    return None if path is None else Path(path)
