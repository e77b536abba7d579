"""Options of event detection, shared by the commands that find sounds."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from audiosae.commands.shared_options import Channel, MachineKeywords, channel_number
from audiosae.errors import InputError
from audiosae.sounds.detection import DetectorOptions
from audiosae.system.parameters import Option

if TYPE_CHECKING:
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.sound_types import Types

_RANGE = re.compile(r"\s*(\d+(?:\.\d*)?)\s*-\s*(\d+(?:\.\d*)?)\s*")
_AUTO = "auto"


@dataclass(frozen=True)
class EventSettings:
    """Options of event detection."""

    group_by: Annotated[
        Literal["auto", "event", "bout"],
        Option(
            "Which sounds get types: single events, bouts of events that belong together, or what suits the archive "
            "(auto).",
            "Method",
        ),
    ] = "auto"
    min_gap: Annotated[
        float | str,
        Option(
            "Shortest pause between two events, in seconds; auto: about 5 ms.", "Method", metavar="auto|S", typed=str
        ),
    ] = _AUTO
    min_duration: Annotated[
        float | str,
        Option(
            "Shortest event, in seconds; auto: about 15 ms, or 80 ms for weak sounds.",
            "Method",
            metavar="auto|S",
            typed=str,
        ),
    ] = _AUTO
    min_level: Annotated[
        float, Option("Least peak of an event above the noise, in dB.", "Method", least=0, metavar="DB")
    ] = 0.0
    band: Annotated[
        str | Sequence[float] | None,
        Option(
            "Range of frequencies in Hz in which sounds are sought, such as 1000-8000.",
            "Method",
            metavar="LOW-HIGH",
            typed=str,
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

    @property
    def detector(self) -> DetectorOptions:
        """Options of the detector.

        Raises
        ------
        InputError
            A time or the band is not valid.
        """
        low, high = _band(self.band)
        gap, duration = _seconds("--min-gap", self.min_gap), _seconds("--min-duration", self.min_duration)
        return DetectorOptions(gap, duration, float(self.min_level), low, high)

    def domain(self, domain: Spectrogram, known: Types | None = None) -> Spectrogram:
        """Return the domain with the user's choice of the channel, or that of an earlier survey."""
        if self.channel is not None:
            return replace(domain, channel=channel_number(self.channel))
        return replace(domain, channel=known.detector.channel) if known and known.detector else domain


class EventKeywords(MachineKeywords, total=False):
    """Keywords of the commands that find sounds; `EventSettings` and `Machine` declare them."""

    group_by: Literal["auto", "event", "bout"]
    min_gap: float | str
    min_duration: float | str
    min_level: float
    band: str | Sequence[float] | None
    channel: int | str | None


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


def _band(band: str | Sequence[float] | None) -> tuple[float, float]:
    """Return the range of frequencies; (0, 0) if none was given."""
    if band is None:
        return 0.0, 0.0
    text = "-".join(map(str, band)) if isinstance(band, Sequence) and not isinstance(band, str) else str(band)
    match = _RANGE.fullmatch(text)
    if not match or float(match[1]) >= float(match[2]):
        raise InputError(f"--band {text}: wanted LOW-HIGH in Hz with LOW below HIGH, such as 1000-8000")
    return float(match[1]), float(match[2])
