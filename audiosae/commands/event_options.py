"""Options of event detection, shared by the commands that find sounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, cast

from audiosae.commands.shared_options import Channel, MachineKeywords, channel_number
from audiosae.errors import InputError
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.locate import expected_broadband
from audiosae.system.parameters import Option

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.commands.reading import Reading
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.broadband import BroadbandEvents
    from audiosae.sounds.sound_types import Types

_RANGE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*-\s*(\d+(?:\.\d*)?)\s*")
_AUTO, _ALL = "auto", "all"


@dataclass(frozen=True)
class EventSettings:
    """Options of event detection; None is an option that was not given."""

    group_by: Annotated[
        Literal["auto", "event", "bout"],
        Option(
            "Which sounds get types: single events, bouts of events that belong together, or what suits the archive "
            "(auto).",
            "Method",
        ),
    ] = "auto"
    min_gap: Annotated[
        float | str | None,
        Option(
            "Shortest pause between two events, in seconds; auto: about 4 ms, less for ultrasound.",
            "Method",
            metavar="auto|S",
            typed=str,
            default=_AUTO,
        ),
    ] = None
    min_duration: Annotated[
        float | str | None,
        Option(
            "Shortest event, in seconds; auto: about 14 ms, less for ultrasound, or 80 ms for weak sounds.",
            "Method",
            metavar="auto|S",
            typed=str,
            default=_AUTO,
        ),
    ] = None
    min_level: Annotated[
        float | None,
        Option("Least peak of an event above the noise, in dB.", "Method", least=0, metavar="DB", default="0"),
    ] = None
    band: Annotated[
        str | Sequence[float] | None,
        Option(
            "Range of frequencies in Hz in which sounds are sought, such as 1000-8000, or all.",
            "Method",
            metavar="all|LOW-HIGH",
            typed=str,
            default=_ALL,
            python="Also a pair of numbers.",
        ),
    ] = None
    channel: Channel = None

    @classmethod
    def of(cls, keywords: EventKeywords) -> Self:
        """Return the options among the keywords of a command; None or a missing keyword is the default."""
        options: dict[str, Any] = {name: keywords.get(name) for name in cls.__dataclass_fields__}
        return cls(**{name: value for name, value in options.items() if value is not None})

    @property
    def group(self) -> Group | None:
        """Which sounds get types; None for auto."""
        return None if self.group_by == _AUTO else self.group_by  # type: ignore[return-value, unused-ignore]

    def detector(self, known: Types | None = None) -> DetectorOptions:
        """Return the options of the detector: those that were given, else those of an earlier survey or the defaults.

        Raises
        ------
        InputError
            A time or the band is not valid.
        """
        given: dict[str, Any] = {}
        if self.min_gap is not None:
            given["min_gap"] = _seconds("--min-gap", self.min_gap)
        if self.min_duration is not None:
            given["min_duration"] = _seconds("--min-duration", self.min_duration)
        if self.min_level is not None:
            given["min_level"] = float(self.min_level)
        if self.band is not None:
            given["low_hz"], given["high_hz"] = _band(self.band)
        return replace(known.detector.options if known and known.detector else DetectorOptions(), **given)

    def domain(self, domain: Spectrogram, known: Types | None = None) -> Spectrogram:
        """Return the domain with the user's choice of the channel, or that of an earlier survey."""
        if self.channel is not None:
            return replace(domain, channel=channel_number(self.channel))
        return replace(domain, channel=known.detector.channel) if known and known.detector else domain


class EventKeywords(MachineKeywords, total=False):
    """Keywords of the commands that find sounds; `EventSettings` and `Machine` declare them."""

    group_by: Literal["auto", "event", "bout"]
    min_gap: float | str | None
    min_duration: float | str | None
    min_level: float | None
    band: str | Sequence[float] | None
    channel: int | str | None


def broadband_beside(
    job: Reading, options: DetectorOptions, known: Types | None = None
) -> Callable[[], BroadbandEvents]:
    """Return what gives the domain of broadband events, which are found while recordings are read.

    Parameters
    ----------
    options
        Options of the detector.
    known
        Types of an earlier survey.
    """
    domain = cast("Spectrogram", job.domain)
    return partial(expected_broadband, domain, job.readable, options, known.detector if known else None)


def _seconds(option: str, value: float | str) -> float | None:
    """Return a time in seconds; None for auto."""
    if str(value).strip().lower() == _AUTO:
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise InputError(f"{option} {value}: wanted auto or a number of seconds of at least 0")
    return seconds


def _band(band: str | Sequence[float]) -> tuple[float, float]:
    """Return the range of frequencies; (0, 0) for all."""
    if isinstance(band, str) and band.strip().lower() == _ALL:
        return 0.0, 0.0
    text = "-".join(map(str, band)) if isinstance(band, Sequence) and not isinstance(band, str) else str(band)
    match = _RANGE.fullmatch(text)
    if not match or float(match[1]) >= float(match[2]):
        raise InputError(f"--band {text}: wanted all, or LOW-HIGH in Hz with LOW below HIGH, such as 1000-8000")
    return float(match[1]), float(match[2])
