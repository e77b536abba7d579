"""How well a Gabor function fits a patch: the measure of "an oriented edge" in the tests."""

from __future__ import annotations

import numpy as np
from scipy.optimize import least_squares


def _waves(parameters, yy, xx):
    """Return sine, cosine and constant under a rotated Gaussian envelope, as columns."""
    x, y, turn, along, across, frequency = parameters
    u = (xx - x) * np.cos(turn) + (yy - y) * np.sin(turn)
    v = (yy - y) * np.cos(turn) - (xx - x) * np.sin(turn)
    envelope = np.exp(-(u**2) / (2 * along**2) - v**2 / (2 * across**2))
    phase = 2 * np.pi * frequency * u
    return np.stack([envelope * np.sin(phase), envelope * np.cos(phase), np.ones_like(u)], axis=-1).reshape(-1, 3)


def gabor_fit(patch):
    """Return the share of a patch's variance that the best Gabor function explains."""
    patch = np.asarray(patch, float) - np.mean(patch)
    patch = patch / np.linalg.norm(patch)
    rows, columns = patch.shape
    yy, xx = np.mgrid[:rows, :columns].astype(float)
    power = np.abs(np.fft.rfft2(patch, (48, 48))) ** 2
    power[0, 0] = 0
    ky, kx = np.unravel_index(power.argmax(), power.shape)
    fy, fx = np.fft.fftfreq(48)[ky], kx / 48
    mass = patch**2
    bounds = np.array([[-2, columns + 1], [-2, rows + 1], [-7, 7], [0.5, 2 * columns], [0.5, 2 * rows], [0.01, 0.6]]).T

    def misfit(parameters):
        basis = _waves(parameters, yy, xx)
        return patch.ravel() - basis @ np.linalg.lstsq(basis, patch.ravel(), rcond=None)[0]

    starts = [
        [(mass * xx).sum(), (mass * yy).sum(), np.arctan2(fy, fx), along, across, max(np.hypot(fy, fx), 0.04)]
        for along, across in ((1.5, 1.5), (3.0, 1.5), (1.5, 3.0))
    ]
    fits = [least_squares(misfit, np.clip(s, bounds[0] + 1e-6, bounds[1] - 1e-6), bounds=bounds, max_nfev=60) for s in starts]
    return 1 - 2 * min(fit.cost for fit in fits)
