"""What the lengths and sample rates of recordings mean for the events that survey finds, as lines of text."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.recordings.quick_checks import ULTRASOUND_RATE
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.noise_floor import SHORT_SECONDS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.domain import Domain

_LEAST_FRAMES = 4  # of a window that is suggested: shorter ones show no course in time
_CALL_SECONDS = 0.02  # most echolocation calls are shorter
_HOP_SECONDS, _FFT_SECONDS, _FRAMES, _LOWEST_HZ = 0.001, 0.0027, 8, 15000  # of windows for echolocation calls


def event_remarks(domain: Domain, files: Sequence[dict[str, Any]]) -> list[str]:
    """Return lines on recordings that are shorter than a window, under ten seconds, or ultrasound.

    Parameters
    ----------
    domain
        With all its options resolved.
    files
        See `audiosae.commands.inspect.inspect_sources`.
    """
    if not isinstance(domain, Spectrogram):
        return []
    lines = [_too_short(domain, files), _short(files), _ultrasound(domain, files)]
    return [line for line in lines if line]


def _too_short(domain: Spectrogram, files: Sequence[dict[str, Any]]) -> str:
    window, second = domain.window[0], domain.hop_length / domain.sample_rate
    rows = [file["rows"] for file in files if 0 < file["rows"] < window]
    if not rows:
        return ""
    remedy = (
        "join them to longer ones"
        if min(rows) < _LEAST_FRAMES
        else f"train --set frames={min(rows)} uses shorter windows"
    )
    return (
        f"{len(rows)} of {len(files)} recordings are shorter than a window ({window * second:.3g} s): train skips "
        f"them, and survey compares their events by padded windows; {remedy}"
    )


def _short(files: Sequence[dict[str, Any]]) -> str:
    used = [file["extent"] for file in files if file["status"] == "ok" and file["rows"]]
    short = sum(extent < SHORT_SECONDS for extent in used)
    if not 0 < short < len(used):
        return ""
    return (
        f"{short} of {len(used)} recordings are under {SHORT_SECONDS:g} s, the others are longer: steady noise gives "
        "no event in a long recording, but may give one in a short one; survey --min-level 20 leaves out weak events"
    )


def _ultrasound(domain: Spectrogram, files: Sequence[dict[str, Any]]) -> str:
    rates = Counter(file["facts"].get("rate", 0) for file in files if file["status"] == "ok")
    high = {rate: count for rate, count in rates.items() if rate >= ULTRASOUND_RATE}
    if not high:
        return ""
    what = f"{sum(high.values())} of {rates.total()} recordings have ultrasound"
    if domain.sample_rate < min(high):
        return (
            f"{what}, but sounds above {domain.sample_rate / 2000:g} kHz are not read, because most of the recordings "
            f"have a lower rate; train --set sample_rate={max(high)}, or survey them separately"
        )
    seconds, rate = domain.window[0] * domain.hop_length / domain.sample_rate, domain.sample_rate
    if seconds <= _CALL_SECONDS:
        return ""
    n_fft = 2 ** round(np.log2(_FFT_SECONDS * rate))
    return (
        f"{what}: single calls of bats are found, but windows of {seconds:.3g} s compare them together with their "
        f"neighbours; train --set n_fft={n_fft} --set hop_length={round(_HOP_SECONDS * rate)} --set frames={_FRAMES} "
        f"--set fmin={_LOWEST_HZ} compares single calls"
    )
