"""The built-in domain `spectrogram`: recordings as spectrograms in dB, fields of shape (frames, bands)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from audiosae.domain import BLANK, Domain, Excerpt, Probe, Span, between
from audiosae.errors import InputError
from audiosae.recordings import audio, bands, formats, inversion, levels, prominence, quick_checks
from audiosae.recordings.date_headers import timing_remark
from audiosae.recordings.opening import read_header

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from audiosae.domain import Json, Kind

_HOP_SECONDS, _FFT_SECONDS = 0.010, 0.032
_SMALLEST_FFT = 8
_LEAST_FFT = 128  # for rates under 4 kHz: with fewer bins, low bands would be empty
_UNFILTERED = 0.92  # of half a rate: resampling weakens what is above
_STEP = 0.32  # dB; the error of a level is 0.09 dB, that of the power of one frame of noise is 5.6 dB
_STRETCH_SECONDS = 30.0
_CYCLES = 17.0  # of the lowest band in a filter of the constant-Q scale with 12 bands per octave


@dataclass(frozen=True)
class Spectrogram(Domain):
    """Recordings as log-mel, linear or constant-Q spectrograms; a window is `frames` frames of all bands.

    Attributes
    ----------
    sample_rate
        Sample rate in Hz to which all recordings are resampled; 0 chooses it from the recordings (at most 22050 Hz,
        unless they are ultrasound).
    scale
        Frequency scale: ``mel`` (Slaney's, as in librosa), ``linear`` (the bins of the transform) or ``cqt``
        (constant-Q).
    n_fft, hop_length
        Samples per transform and between frames; 0 chooses 32 ms, rounded to a power of two, and 10 ms.
    n_mels
        Number of mel bands.
    fmin, fmax
        Lowest and highest frequency in Hz; fmax 0 is half the sample rate; fmin 0 is 32.7 Hz (C1) for cqt.
    bins_per_octave
        Bands per octave of the constant-Q scale, which covers fmin to fmax.
    frames, step
        Frames per window and between windows.
    short
        Frames of a shorter window in the middle of each window, which half of the units see: they show shorter sounds,
        the others whole windows. 0: all units see whole windows.
    top_db
        Dynamic range in dB: lower levels are raised to the recording's maximum minus this. 0 is off: the lowest level
        is -100 dB.
    level
        ``file`` subtracts each recording's mean level, ``none`` does not.
    silence
        Frames this many dB below the loudest frame are left out of training; 0 uses all frames.
    channel
        Number of the channel to read, from 1; 0 averages all channels. Recordings without this channel are skipped.
    """

    name: ClassVar[str] = "spectrogram"
    suffixes: ClassVar[tuple[str, ...]] = formats.SUFFIXES
    missing_suffixes: ClassVar[Mapping[str, str]] = formats.MISSING_SUFFIXES
    unit: ClassVar[str] = "s"
    kind: ClassVar[Kind] = "sound"
    defaults: ClassVar[Mapping[str, Json]] = {
        "whiten": "pca",
        "whiten_power": 0.25,
        "keep": 0.98,
        "rho": 0.02,
        "beta": 30.0,
        "weight_decay": 1e-3,
        "learning_rate": 3e-3,
        "contrast": False,
        "solver": "adam",
        "max_windows": 750_000,
    }

    sample_rate: int = 0
    scale: Literal["mel", "linear", "cqt"] = "mel"
    n_fft: int = 0
    hop_length: int = 0
    n_mels: int = 40
    fmin: float = 0.0
    fmax: float = 0.0
    bins_per_octave: int = 12
    frames: int = 16
    short: int = 0
    step: int = 1
    top_db: float = 80.0
    level: Literal["file", "none"] = "file"
    silence: float = 0.0
    channel: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for options that no spectrogram can have."""
        positive = ("n_mels", "bins_per_octave", "frames", "step")
        not_negative = ("sample_rate", "n_fft", "hop_length", "fmin", "fmax", "short", "top_db", "silence", "channel")
        largest = {"sample_rate": 2**24, "n_fft": 2**20, "hop_length": 2**24, "n_mels": 2**12}
        for key, valid, rule in (
            *((key, getattr(self, key) >= 0, "cannot be negative") for key in not_negative),
            *((key, getattr(self, key) <= most, f"can be at most {most}") for key, most in largest.items()),
            *((key, getattr(self, key) >= 1, "must be at least 1") for key in positive),
        ):
            if not valid:
                raise InputError(f"--set {key}={getattr(self, key)}: {key} {rule}")
        if self.short >= self.frames:
            raise InputError(f"--set short={self.short}: wanted fewer frames than a window, frames={self.frames}")
        if 0 < self.n_fft < _SMALLEST_FFT:
            raise InputError(f"--set n_fft={self.n_fft}: wanted at least {_SMALLEST_FFT} samples, or 0 to choose")
        if self.sample_rate and not self._lowest < self._highest <= self.sample_rate / 2:
            raise InputError(
                f"--set fmin={self.fmin:g} fmax={self.fmax:g}: wanted fmin < fmax <= {self.sample_rate / 2:g} Hz, "
                f"half the sample rate"
            )
        if self.sample_rate and self.n_fft and not self._count:
            raise InputError(
                f"--set fmin={self.fmin:g} fmax={self.fmax:g}: no bin of n_fft={self.n_fft} lies between; increase "
                "n_fft, or move fmin and fmax apart"
            )

    @property
    def window(self) -> tuple[int, int]:
        """Shape of a window, (frames, bands)."""
        return self.frames, self._count

    @property
    def stride(self) -> tuple[int, int]:
        """Steps between windows, (step, bands): windows slide along time only."""
        return self.step, self._count

    @property
    def crops(self) -> tuple[tuple[slice, slice], ...]:
        """The middle of a window and the whole window, if there are two lengths."""
        before, bands = (self.frames - self.short) // 2, slice(0, self._count)
        return ((slice(before, before + self.short), bands), (slice(0, self.frames), bands)) if self.short else ()

    def of_crop(self, number: int) -> Spectrogram:
        """Return the domain with windows of one length only."""
        return replace(self, frames=(self.short, self.frames)[number], short=0)

    @property
    def resolution(self) -> float:
        """Step of levels in the cache in dB: a range of 80 dB takes one byte per value."""
        return _STEP

    @property
    def stretch(self) -> int:
        """Frames of half a minute: shorter ones take longer to decode, and their noise is not measured as well."""
        return max(self.frames, round(_STRETCH_SECONDS * self.sample_rate / max(1, self.hop_length)))

    @property
    def frequencies(self) -> NDArray[np.float64]:
        """Centre frequency of each band in Hz."""
        if self.scale == "mel":
            return bands.mel_edges(self.n_mels, self._lowest, self._highest)[1:-1]
        if self.scale == "linear":
            return (np.arange(1 + self.n_fft // 2) * self.sample_rate / max(1, self.n_fft))[self._bins]
        return self._lowest * 2.0 ** (np.arange(self._count) / self.bins_per_octave)

    @property
    def _count(self) -> int:
        if self.scale == "mel":
            return self.n_mels
        if self.scale == "linear":
            return int(self._bins.stop) - int(self._bins.start)
        return max(1, int(np.log2(max(self._highest, 1) / self._lowest) * self.bins_per_octave - 1e-9))

    @property
    def _lowest(self) -> float:
        return self.fmin or (32.703 if self.scale == "cqt" else 0.0)

    @property
    def _highest(self) -> float:
        return self.fmax or self.sample_rate / 2

    @property
    def _bins(self) -> slice:
        width = self.sample_rate / max(1, self.n_fft) or 1.0  # one bin while the sample rate is unknown
        return slice(int(np.ceil(self._lowest / width)), int(self._highest / width) + 1)

    def resolve(self, paths: Sequence[Path]) -> Spectrogram:
        """Return the domain with sample rate, transform length and hop chosen where they are 0."""
        rate = self.sample_rate or quick_checks.common_rate(paths, self.channel)
        return replace(
            self,
            sample_rate=rate,
            hop_length=self.hop_length
            or max(round(_LEAST_FFT * _HOP_SECONDS / _FFT_SECONDS), round(_HOP_SECONDS * rate)),
            n_fft=self.n_fft or max(_LEAST_FFT, 2 ** round(np.log2(max(2, _FFT_SECONDS * rate)))),
        )

    def probe(self, path: Path) -> Probe:
        """Return a recording's length, number of frames and facts, from its header."""
        header = read_header(path)
        audio.check_channel(header.channels, self.channel)
        rate = self.sample_rate or header.rate
        audio.check_rate(header.rate, rate)
        hop = self.hop_length or max(1, round(_HOP_SECONDS * rate))
        rows = 1 + int(header.seconds * rate) // hop if header.frames else 0
        lower = header.rate < 2 * self._highest and header.rate / 2 < self.frequencies[-1]
        remarks = [f"a lower rate than {2 * self._highest:g} Hz, so their upper bands are empty"] if lower else []
        if header.remark:
            remarks.append(header.remark)
        if timing := timing_remark(path, header.rate):
            remarks.append(timing)
        return Probe(
            header.seconds,
            rows,
            facts={"rate": header.rate, "channels": header.channels, "format": header.format},
            remark="; ".join(remarks),
            needs=header.needs,
        )

    def compare(self, paths: Sequence[Path]) -> Sequence[str]:
        """Return a warning if the rates of recordings differ and the linear scale shows them in its top bins.

        A recording of a higher rate is filtered when it is resampled, one of a lower rate has nothing up there.
        """
        if self.scale != "linear":
            return ()
        counts = quick_checks.rates(paths, self.channel)
        limit = int(_UNFILTERED * min([*counts, self.sample_rate]) / 2)
        kept = {min(rate, self.sample_rate + (rate > self.sample_rate)) for rate in counts}  # all higher ones are alike
        if len(kept) <= 1 or self.frequencies[-1] <= limit:
            return ()
        found = ", ".join(f"{rate} Hz ({count})" for rate, count in sorted(counts.items()))
        return (
            f"recordings have different rates: {found}; with scale=linear the bins above {limit} Hz show the rate of a "
            f"recording instead of its sound (--set fmax={limit} leaves them out)",
        )

    def glance(self, path: Path) -> str:
        """Return a warning on a constant offset that fills the lowest bands, and on digital zeros, or ""."""
        reach = 10 * int(np.ceil(0.23 * self.sample_rate / max(1, self.n_fft)))  # Hz, width of the transform's window
        filled = self._lowest < reach < self._highest and quick_checks.has_offset(path, self.channel)
        offset = f"a constant offset, which fills the lowest bands (--set fmin={reach} leaves them out)"
        warnings = [*([offset] if filled else []), *([BLANK] if quick_checks.has_zeros(path, self.channel) else [])]
        return " and ".join(warnings)

    def field(self, path: Path) -> Generator[NDArray[np.float32], None, str]:
        """Yield the spectrogram in dB in blocks of shape (frames, bands); `finish` subtracts the mean level."""
        notes: list[str] = []

        def samples() -> Iterator[NDArray[np.float32]]:
            notes.append((yield from audio.read_mono(path, self.sample_rate, self.channel)))

        yield from self._levels(samples())
        return "".join(notes)

    def part(self, path: Path, low: int, high: int) -> Iterator[NDArray[np.float32]]:
        """Yield frames `low` to below `high` of the spectrogram in dB, computed with some frames on both sides."""
        reach = self.n_fft / self.sample_rate if self.scale != "cqt" else 2 * _CYCLES / self._lowest
        lead = 1 + int(np.ceil(reach * self.sample_rate / self.hop_length))
        first, second = max(0, low - lead), self.hop_length / self.sample_rate
        samples = audio.read_part(path, first * second, (high + lead) * second, self.sample_rate, self.channel)
        yield from between(self._levels(samples), low - first, high - first)

    def _levels(self, samples: Iterator[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the spectrogram of samples in dB."""
        if self.scale == "cqt":
            zeros = bands.ZeroFrames(self.hop_length, self.n_fft // 2)
            powers = bands.constant_q_frames(zeros.watch(samples), n_bins=self._count, **self._constant_q)
            yield from zeros.blank(map(bands.to_decibels, powers))
        else:
            filters, bins = self._mel_filters, self._bins
            yield from bands.power_frames(
                samples,
                self.n_fft,
                self.hop_length,
                lambda power: bands.to_decibels(power[:, bins] if filters is None else power @ filters),
            )

    @property
    def _mel_filters(self) -> NDArray[np.float32] | None:
        if self.scale == "linear":
            return None
        return bands.mel_filters(self.sample_rate, self.n_fft, self.n_mels, self._lowest, self._highest)

    @property
    def _constant_q(self) -> dict[str, Any]:
        return {
            "rate": self.sample_rate,
            "hop_length": self.hop_length,
            "fmin": self._lowest,
            "bins_per_octave": self.bins_per_octave,
        }

    def blank(self, field: NDArray[np.float32]) -> NDArray[np.bool_] | None:
        """Return which frames are digital zeros: those at the lowest level in all bands; None if there are none."""
        return levels.blank_frames(field)

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Apply `top_db`, subtract the mean level, in place, and return the row ranges that are not silent.

        Digital zeros do not count for the mean level, so that it is the same with and without them.
        """
        return levels.finish(field, self.top_db, mean=self.level == "file", silence=self.silence, frames=self.frames)

    def stands_out(self, field: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Return which frames stand out from the background noise."""
        return prominence.stands_out(field, self.hop_length / self.sample_rate)

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return a window's time in seconds, from its first frame to the frame after its last."""
        seconds = self.hop_length / self.sample_rate
        return Span((start[0] * seconds,), ((start[0] + self.frames) * seconds,), self.unit)

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Return an atom as a picture: time to the right, low frequencies at the bottom; NaN beside a short atom."""
        tile = np.array(atom, np.float64)
        rows = self._rows(tile)
        tile[: rows.start], tile[rows.stop :] = np.nan, np.nan
        return tile.T[::-1]

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw an atom with axes in milliseconds and hertz."""
        extent = (0, 1000 * self.frames * self.hop_length / self.sample_rate, -0.5, len(self.frequencies) - 0.5)
        ax.imshow(self.tile(atom), cmap=self.colours, vmin=-limit, vmax=limit, aspect="auto", extent=extent)
        ax.set_yticks(*bands.frequency_ticks(self.frequencies))
        ax.set(xlabel="ms", ylabel="Hz")

    def excerpt(self, path: Path, span: Span) -> Excerpt:
        """Return the sound of a window, mono, at the recording's own sample rate."""
        samples, rate = audio.read_excerpt(path, span.start[0], span.end[0], self.channel)
        return Excerpt(samples, "sound", rate)

    def centre(self, atom: NDArray[Any]) -> float:
        """Return the centroid frequency in Hz of an atom's energy."""
        energy = np.square(np.asarray(atom, np.float64)).sum(axis=0)
        return float(energy @ self.frequencies / max(energy.sum(), 1e-300))

    def measures(self, atom: NDArray[Any]) -> Mapping[str, float]:
        """Return centroid frequency and bandwidth (one standard deviation to each side) of an atom's energy, in Hz."""
        energy, centre = np.square(np.asarray(atom, np.float64)).sum(axis=0), self.centre(atom)
        spread = np.sqrt(energy @ (self.frequencies - centre) ** 2 / max(energy.sum(), 1e-300))
        rows, seconds = self._rows(atom), self.hop_length / self.sample_rate
        length = {"length (ms)": round(1000 * (rows.stop - rows.start) * seconds, 3)} if self.short else {}
        return {"centroid (Hz)": centre, "bandwidth (Hz)": 2 * float(spread), **length}

    def _rows(self, atom: NDArray[Any]) -> slice:
        """Return the frames that the unit of an atom sees: the atoms of units with short windows are zero elsewhere."""
        middle = self.crops[0][0] if self.short else slice(0, len(atom))
        outside = atom[: middle.start].any() or atom[middle.stop :].any()
        return slice(0, len(atom)) if outside else middle

    def scene(self, piece: NDArray[Any]) -> NDArray[Any]:
        """Return a piece of a field as a picture: time to the right, low frequencies at the bottom."""
        return np.asarray(piece).T[::-1]

    def synthesize(self, atom: NDArray[Any]) -> Excerpt:
        """Return an atom as a sound: its strongest values loud, zeros soft, negative values softer."""
        power = inversion.power_of(atom[self._rows(atom)])
        if self.scale == "cqt":
            samples = inversion.from_constant_q(power, **self._constant_q)
        else:
            samples = inversion.from_spectrum(
                power, self._mel_filters, self._bins, n_fft=self.n_fft, hop_length=self.hop_length
            )
        return Excerpt(samples, "sound", self.sample_rate)
