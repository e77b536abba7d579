"""The 1/f filter that flattens the spectrum of natural pictures, as the retina is thought to do.

The amplitudes of natural pictures fall as 1/f. The filter is R(f) = f exp(-(f / f0)^4): the ramp flattens the spectrum,
and the low-pass removes the corners of the frequency grid and the noise of the highest frequencies (B. A. Olshausen and
D. J. Field, "Sparse coding with an overcomplete basis set: a strategy employed by V1?", Vision Research 37, 1997; there
f0 is 200 cycles per picture of 512 pixels).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MARGIN = 64  # pixels, beyond which the impulse response is under 4e-5 of its peak
_PIXELS_AT_ONCE = 2**22


def flatten_spectrum(field: NDArray[np.float32], f0: float) -> None:
    """Filter a picture in place, in bands of rows, each channel separately.

    The picture is mirrored at its edges, which avoids an artificial edge there.

    Parameters
    ----------
    field
        Shape (rows, columns, channels), any size; may be memory-mapped.
    f0
        Cut-off frequency of the low-pass, in cycles per pixel.
    """
    rows, columns = field.shape[:2]
    step = max(_MARGIN, _PIXELS_AT_ONCE // (columns + 2 * _MARGIN) - 2 * _MARGIN)
    for channel in range(field.shape[2]):
        plane = field[..., channel]
        above = plane[:0].copy()  # unfiltered rows above the band
        for top in range(0, rows, step):
            bottom = min(top + step, rows)
            band = np.concatenate([above, plane[top : bottom + _MARGIN]])
            above_next = np.concatenate([above, plane[top:bottom]])[-_MARGIN:]
            plane[top:bottom] = _filtered(band, f0, len(above), _MARGIN - (len(band) - len(above) - (bottom - top)))
            above = above_next


def _filtered(band: NDArray[np.float32], f0: float, above: int, missing: int) -> NDArray[np.float32]:
    """Filter a band that has `above` rows of margin at its top and lacks `missing` rows of margin at its bottom."""
    padded = np.pad(band, ((_MARGIN - above, missing), (_MARGIN, _MARGIN)), mode="symmetric")
    vertical = np.fft.fftfreq(padded.shape[0]).astype(np.float32)[:, None]
    frequency = np.hypot(vertical, np.fft.rfftfreq(padded.shape[1]).astype(np.float32))
    response = frequency * np.exp(-((frequency / f0) ** 4))
    spectrum = np.fft.rfft2(padded - padded.mean()) * response
    filtered = np.fft.irfft2(spectrum, s=padded.shape)[_MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    return filtered.astype(np.float32)
