"""The sample recordings and pictures, computed from the physics of their sources (see samples/README.md).

Each file has its own random generator, seeded by its class and number, so every run makes the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import numpy as np
import soundfile
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage, signal, special

RATE = 22050  # Hz
FILES, PICTURES = 12, 10  # recordings of each class, pictures in all
SIDE, FINER = 512, 2  # pixels, and supersampling per axis for antialiased edges
SEED = 20240

Array = NDArray[np.float64]
Rng = np.random.Generator
Synthesiser = Callable[[Rng, Array, float], Array]

# Mean f0 (Hz), approximate length of the vocal tract (cm), and mean F1, F2, F3 (Hz) of the vowels of heed, head, hod
# and who'd, for men, women and children. The frequencies are those of Peterson & Barney (1952), table II.
SPEAKERS = (
    (133.0, 17.5, ((270, 2290, 3010), (530, 1840, 2480), (730, 1090, 2440), (300, 870, 2240))),
    (225.0, 14.7, ((310, 2790, 3310), (610, 2330, 2990), (850, 1220, 2810), (370, 950, 2670))),
    (266.0, 12.8, ((370, 3200, 3730), (690, 2610, 3570), (1030, 1370, 3170), (430, 1170, 3260))),
)


def phase_of(frequency: Array) -> Array:
    """Return the phase in radians of a tone with this frequency in Hz (one value per sample)."""
    return 2 * np.pi * np.cumsum(frequency) / RATE


def resonator(x: Array, frequency: float, bandwidth: float) -> Array:
    """Filter `x` by a two-pole resonator (Hz, Hz) of unit gain at 0 Hz: Klatt (1980), J. Acoust. Soc. Am. 67."""
    c = -np.exp(-2 * np.pi * bandwidth / RATE)
    b = 2 * np.exp(-np.pi * bandwidth / RATE) * np.cos(2 * np.pi * frequency / RATE)
    return np.asarray(signal.lfilter([1 - b - c], [1, -b, -c], x), dtype=np.float64)


def coloured_noise(rng: Rng, count: int, exponent: float, lowest: float = 40.0) -> Array:
    """Return noise of unit standard deviation with power ~ frequency**-exponent above `lowest` Hz and none below."""
    frequency = np.fft.rfftfreq(count, 1 / RATE)
    shape = np.where(frequency >= lowest, np.maximum(frequency, lowest) ** (-exponent / 2), 0.0)
    noise = np.fft.irfft(np.fft.rfft(rng.standard_normal(count)) * shape, count)
    return np.asarray(noise / noise.std())


def slow_noise(rng: Rng, count: int, corner: float) -> Array:
    """Return noise of unit standard deviation below `corner` Hz, for gusts or an unsteady hand."""
    low_pass = signal.butter(2, corner, fs=RATE, output="sos")
    slow = signal.sosfilt(low_pass, rng.standard_normal(count + 2 * RATE))  # it settles in the first two seconds
    return np.asarray(slow[2 * RATE :] / slow[RATE:].std())


def gate(t: Array, start: float, length: float, rise: float) -> Array:
    """Return an envelope: 1 from `start` to `start + length` s, with raised-cosine flanks of `rise` s inside."""
    edge = np.clip(np.minimum(t - start, start + length - t) / rise, 0, 1)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * edge))


def modes(t: Array, frequency: Array, amplitude: Array, decay: Array) -> Array:
    """Return the sum of damped sine modes (Hz, any unit, 1/s) from t = 0; those above 0.45 of the rate are omitted."""
    after, parameters = np.maximum(t, 0.0), zip(frequency, amplitude, decay, strict=True)
    waves = (a * np.exp(-d * after) * np.sin(2 * np.pi * f * after) for f, a, d in parameters if f < 0.45 * RATE)
    return sum(waves, np.zeros_like(t))


def onsets(rng: Rng, t: Array, shortest: float, longest: float) -> list[float]:
    """Draw the times (s) of events, the first soon after the start, with gaps between `shortest` and `longest` s."""
    times = [float(rng.uniform(0.02, 0.12))]
    while (after := times[-1] + float(rng.uniform(shortest, longest))) < t[-1] - 0.15:
        times.append(after)
    return times


def string(rng: Rng, t: Array, position: float) -> Array:
    """Plucked string, 82 to 660 Hz: f_n = n f0 sqrt(1 + B n^2), force ~ sin(n pi p) / n (Fletcher & Rossing, ch. 2)."""
    n = np.arange(1.0, 60.0)
    frequency = 82.4 * 8**position * n * np.sqrt(1 + rng.uniform(3e-5, 3e-4) * n**2)
    amplitude = np.sin(np.pi * n * rng.uniform(0.08, 0.35)) / n
    decay = rng.uniform(1.0, 3.0) + rng.uniform(0.4, 1.2) * 1e-6 * frequency**2
    total = np.zeros_like(t)
    for start in onsets(rng, t, 0.5, 1.5):
        total[t >= start] *= np.exp(-60 * (t[t >= start] - start))  # the finger stops the old note
        total += rng.uniform(0.6, 1.0) * modes(t - start, frequency, amplitude, decay)
    return total


def drum(rng: Rng, t: Array, position: float) -> Array:
    """Struck round membrane, lowest mode 60 to 240 Hz: f_mn ~ j_mn (Morse & Ingard, Theoretical Acoustics, ch. 5)."""
    # A blow at `radius` (1 is the rim) gives mode (m, n) the amplitude J_m(j_mn r) / (J_m+1(j_mn)^2 j_mn).
    zeros, m = np.array([special.jn_zeros(order, 7) for order in range(9)]), np.arange(9)[:, None]
    radius, angle = rng.uniform(0.05, 0.85), rng.uniform(0, np.pi)
    shape = special.jv(m, zeros * radius) / special.jv(m + 1, zeros) ** 2 / zeros * np.cos(m * angle)
    frequency = 60 * 4**position * zeros.ravel() / zeros[0, 0]
    decay = rng.uniform(4, 10) + rng.uniform(0.010, 0.030) * frequency
    starts = onsets(rng, t, 0.2, 0.6)
    blows = (rng.uniform(0.4, 1.0) * modes(t - start, frequency, shape.ravel(), decay) for start in starts)
    return sum(blows, np.zeros_like(t))


def flute(rng: Rng, t: Array, position: float) -> Array:
    """Flute-like tone, 262 to 1175 Hz, with vibrato and breath noise (Fletcher & Rossing, ch. 16)."""
    base, start, end = 262 * 4.48**position, rng.uniform(0.02, 0.1), t[-1] - rng.uniform(0.1, 0.2)
    sway = np.sin(2 * np.pi * rng.uniform(4.5, 6.5) * t + rng.uniform(0, 6)) * np.clip(t / 0.5, 0, 1)
    # Vibrato moves the upper harmonics more than the pitch: Fletcher (1975), J. Acoust. Soc. Am. 57.
    strength = rng.uniform(0.25, 0.5) * (1 + 0.25 * sway)
    phase, harmonics = phase_of(base * (1 + 0.004 * sway)), range(1, int(0.45 * RATE / base) + 1)
    total = sum(strength ** (n - 1) * np.sin(n * phase + rng.uniform(0, 6)) for n in harmonics)
    comb = np.zeros(round(RATE / base) + 1)  # resonances of the open pipe, which filter the noise of the jet
    comb[[0, -1]] = 1, -0.9
    breath = signal.lfilter([1], comb, coloured_noise(rng, len(t), 1.0, 200.0))
    return np.asarray((total + rng.uniform(0.02, 0.08) * breath) * gate(t, start, end - start, 0.06))


def vowel(rng: Rng, t: Array, position: float) -> Array:
    """Vowel of a man, woman or child: glottal pulses (Rosenberg 1971, form C), formants in cascade (Klatt 1980)."""
    pitch, tract, vowels = SPEAKERS[int(position * 3)]
    first, second, third = np.array(vowels[int(position * 12) % 4]) * rng.uniform(0.95, 1.05)
    span = t / t[-1]
    contour = 1 + rng.uniform(-0.15, 0.2) * np.sin(np.pi * span) - rng.uniform(0.0, 0.25) * span
    contour *= 1 + 0.006 * slow_noise(rng, len(t), 8.0)
    cycle = phase_of(pitch * rng.uniform(0.85, 1.15) * contour) / (2 * np.pi) % 1
    closing = np.where(cycle < 0.56, np.cos(np.pi / 2 * (cycle - 0.40) / 0.16), 0.0)
    flow = np.where(cycle < 0.40, 0.5 - 0.5 * np.cos(np.pi * cycle / 0.40), closing)
    # The difference models the radiation from the lips, the noise the breath through the glottis.
    sound = np.diff(flow + 0.01 * flow * rng.standard_normal(len(t)), prepend=0.0)
    upper = 35000 / (4 * tract) * np.array([7, 9])  # F4, F5 of a uniform tube: (2 n - 1) c / 4 L, Fant (1960)
    for f, width in zip((first, second, third, *upper), (60, 90, 150, 250, 300), strict=True):
        sound = resonator(sound, float(f), width)
    return sound * gate(t, rng.uniform(0.02, 0.08), t[-1] - rng.uniform(0.1, 0.18), 0.05)


def bird(rng: Rng, t: Array, position: float) -> Array:
    """Bird song about 1.8 to 4.5 kHz: phrases of a repeated sweep with a weak octave (Laje, Gardner & Mindlin 2002)."""
    # Pressure is a hump, tension a part of a cosine with a lag per syllable: rising, falling or arched sweeps.
    total, start = np.zeros_like(t), float(rng.uniform(0.03, 0.15))
    while start < t[-1] - 0.15:
        length, lag, depth = rng.uniform(0.05, 0.2), rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.35)
        centre, octave = 1800 * 2.5**position * rng.uniform(0.85, 1.15), rng.uniform(0.03, 0.2)
        octave *= 2 * centre * np.exp(depth) < 0.45 * RATE  # no aliasing
        for _ in range(rng.integers(2, 6)):
            turn = np.clip((t - start) / length, 0, 1) * rng.normal(0.75, 0.03)
            phase = phase_of(centre * np.exp(depth * np.cos(2 * np.pi * turn + lag)))
            if start + length < t[-1]:
                total += gate(t, start, length, 0.35 * length) * (np.sin(phase) + octave * np.sin(2 * phase))
            start += length * rng.uniform(1.15, 1.5)
        start += rng.uniform(0.1, 0.3)
    return total


def frog(rng: Rng, t: Array, position: float) -> Array:
    """Frog call, lower band 400 to 2400 Hz: 15 to 90 pulses a second in two resonances (Gerhardt & Huber 2002)."""
    rate, drive, start = rng.uniform(15, 90), np.zeros_like(t), float(rng.uniform(0.02, 0.12))
    while start < t[-1] - 0.2:
        length = min(rng.uniform(0.2, 0.7), t[-1] - start - 0.05)
        times = start + np.arange(0.0, length, 1 / rate) * rng.uniform(0.97, 1.03)
        swell = np.sqrt(np.clip((times - start) / length * 3, 0.1, 1))  # the vocal sac fills during the first third
        np.add.at(drive, np.clip(times * RATE, 0, len(t) - 1).astype(int), swell * rng.uniform(0.8, 1.2, len(times)))
        start += length + rng.uniform(0.15, 0.5)
    low, ratio = 400 * 6**position, rng.uniform(1.9, 2.5)
    width = np.clip(rng.uniform(1.5, 3.0) * rate, 40, low / 4)
    return resonator(drive, low, width) + resonator(drive, low * ratio, 1.5 * width) * rng.uniform(0.3, 0.9)


def siren(rng: Rng, t: Array, position: float) -> Array:
    """Rotor siren, at most 450 to 1600 Hz: frequency = holes x turns a second (Helmholtz, Sensations of Tone)."""
    high, low = 450 * 3.5**position, 450 * 3.5**position * rng.uniform(0.4, 0.7)
    # The rotor approaches the target speed of its motor as 1 - exp(-t / tau), tau 0.1 to 0.5 s.
    target = np.where(np.sin(2 * np.pi * t * rng.uniform(0.4, 2.0) + rng.uniform(0, 6)) > 0, high, low)
    lag = np.exp(-1 / (rng.uniform(0.1, 0.5) * RATE))
    frequency = signal.lfilter([1 - lag], [1, -lag], target, zi=[lag * rng.uniform(low, high)])[0]
    n, phase = np.arange(1, int(0.45 * RATE / frequency.max()) + 1), phase_of(frequency)
    # The ports open and close as a trapezoid: Fourier coefficients ~ sin(pi n d) sin(pi n s) / n^2.
    weight = np.sin(np.pi * n * rng.uniform(0.35, 0.5)) * np.sin(np.pi * n * rng.uniform(0.05, 0.2)) / n**2
    return np.asarray(weight @ np.sin(n[:, None] * phase) * (1 + 0.15 * slow_noise(rng, len(t), 2.0)))


def wind(rng: Rng, t: Array, position: float) -> Array:
    """Gusty wind, 4 to 14 m/s: Aeolian noise at 0.2 U / d Hz (Strouhal 1878), pressure ~ U^3 (Curle 1955); rumble."""
    speed = (4 + 10 * position) * np.clip(1 + 0.3 * slow_noise(rng, len(t), 0.8), 0.3, 2.5)
    # The rumble of turbulence has the spectrum f^(-5/3): Kolmogorov (1941).
    total = 0.5 * coloured_noise(rng, len(t), 5 / 3) * (speed / speed.max()) ** 2
    for width in rng.uniform(0.6e-3, 6e-3, 5):  # m: twigs, grass, wires
        frequency = np.minimum(0.2 * speed / width, 0.45 * RATE)
        narrow = signal.butter(1, 0.15 * frequency.mean(), fs=RATE)
        veil, phase = signal.lfilter(*narrow, rng.standard_normal((2, len(t)))), phase_of(frequency)
        band = veil[0] * np.cos(phase) - veil[1] * np.sin(phase)
        total += rng.uniform(0.2, 0.7) * band / band.std() * (speed / speed.max()) ** 3
    return np.asarray(total)


def rain(rng: Rng, t: Array, position: float) -> Array:
    """Rain on water, 15 to 300 near drops/s at Poisson times: bubbles ring at 3.26 / a Hz, a in m (Minnaert 1933)."""
    rate = 15 * 20**position
    total = rng.uniform(0.01, 0.03) * np.sqrt(rate / 15) * coloured_noise(rng, len(t), 0.6, 100.0)
    for start in rng.uniform(-0.02, t[-1], rng.poisson(rate * (t[-1] + 0.02))):
        pitch = 3.26 / (0.4e-3 + rng.exponential(0.45e-3))
        loss = np.pi * pitch * rng.uniform(0.02, 0.08)  # loss factor: Leighton, The Acoustic Bubble, ch. 3
        first = max(int(start * RATE) + 1, 0)
        piece = slice(first, first + int(8 / loss * RATE) + 2)
        total[piece] += modes(t[piece] - start, np.array([pitch]), np.exp(rng.normal(-1.5, 0.7, 1)), np.array([loss]))
    return np.asarray(total)


def cricket(rng: Rng, t: Array, position: float) -> Array:
    """Cricket chirps, 3.8 to 5.2 kHz, of wing closures that drive a harp of quality 20 to 30 (Bennet-Clark 1999)."""
    fahrenheit = 55 + 30 * position
    # Dolbear (1897): 40 + 4 (F - 50) chirps a minute at F degrees Fahrenheit.
    gap, warm = 60 / (40 + 4 * (fahrenheit - 50)), np.sqrt(70 / fahrenheit)
    pitch, closure, count = rng.uniform(3800, 5200), rng.uniform(0.013, 0.019) * warm, rng.integers(3, 6)
    drive, start = np.zeros_like(t), float(rng.uniform(0.02, 0.3))
    while start < t[-1] - 0.15:
        for k in range(count):
            at = start + k * 2.1 * closure
            phase = phase_of(pitch * (1.03 - 0.05 * np.clip((t - at) / closure, 0, 1)))  # strikes slow down
            drive += (0.5 + 0.5 * k / count) * gate(t, at, closure, 0.002) * (np.sin(phase) + 0.1 * np.sin(2 * phase))
        start += gap * rng.normal(1, 0.03)
    return resonator(drive, pitch, pitch / rng.uniform(20, 30))


SOUNDS = (string, drum, flute, vowel, bird, frog, siren, wind, rain, cricket)


def record(rng: Rng, make: Synthesiser, position: float) -> Array:
    """Return 0.8 to 2.5 s of a sound over room noise 15 to 40 dB below it, peak at -24 to -3 dB of full scale."""
    count = int(RATE * (0.8 + 1.7 * rng.beta(1, 3.5)))
    sound = make(rng, np.arange(count) / RATE, position)
    room = coloured_noise(rng, count, rng.uniform(1, 2)) + 0.02 * rng.standard_normal(count)  # 2nd: the microphone
    sound = sound + sound.std() * 10 ** (-rng.uniform(15, 40) / 20) * room
    return np.asarray(sound / np.abs(sound).max() * 10 ** (-rng.uniform(3, 24) / 20))


def leaf(rng: Rng, x: Array, y: Array, radius: float) -> tuple[NDArray[np.bool_], Array]:
    """Return which points (x, y), in pixels from its centre, a stretched disc or polygon covers, and its greys."""
    angle, aspect, corners = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0), int(rng.integers(2, 7))
    u, v = x * np.cos(angle) + y * np.sin(angle), (y * np.cos(angle) - x * np.sin(angle)) / aspect
    sides = 2 * np.pi * np.arange(corners)[:, None, None] / corners
    polygon = (u * np.cos(sides) + v * np.sin(sides)).max(axis=0) < radius * np.cos(np.pi / corners)
    inside = u**2 + v**2 < radius**2 if corners == 2 else polygon  # two corners stand for a disc
    return inside, rng.uniform(15, 240) + rng.uniform(-12, 12) * u / radius  # slightly lit from one side


def leaves(rng: Rng, side: int, least: float, most: float) -> Array:
    """Return the greys of a scene of leaves, radius `least` to `most` pixels, number ~ radius**-3 (Lee et al. 2001)."""
    scene, bare = np.full((side, side), rng.uniform(15, 240)), np.ones((side, side), dtype=bool)
    missing, axis = side * side, np.arange(float(side))
    while missing > 1e-4 * side * side:  # from front to back: a leaf is drawn only on bare points
        radius = (least**-2 - rng.random() * (least**-2 - most**-2)) ** -0.5
        cx, cy = rng.uniform(-most, side + most, 2)
        rows, columns = (slice(max(int(c - radius), 0), max(int(c + radius) + 2, 0)) for c in (cy, cx))
        free = bare[rows, columns]
        if free.any():
            inside, grey = leaf(rng, axis[None, columns] - cx, axis[rows, None] - cy, radius)
            inside &= free
            scene[rows, columns][inside] = grey[inside]
            free[inside] = False
            missing -= int(inside.sum())
    return scene


def picture(rng: Rng) -> NDArray[np.uint8]:
    """Return an 8-bit picture of leaves: blur of 0.6 pixels, noise of 1.2 grey levels (standard deviations)."""
    scene = ndimage.gaussian_filter(leaves(rng, SIDE * FINER, 6.0 * FINER, 220.0 * FINER), 0.6 * FINER)
    sensor = scene.reshape(SIDE, FINER, SIDE, FINER).mean(axis=(1, 3)) + rng.normal(0, 1.2, (SIDE, SIDE))
    return np.asarray(np.clip(np.rint(sensor), 0, 255), dtype=np.uint8)


def sound_file(kind: int, number: int) -> bytes:
    """Return a recording as FLAC, 16 bit; its class and number seed the random generator."""
    rng, file = np.random.default_rng([SEED, kind, number]), io.BytesIO()
    sound = record(rng, SOUNDS[kind], (number + float(rng.random())) / FILES)  # positions spread over the whole range
    soundfile.write(file, sound, RATE, format="FLAC", subtype="PCM_16")
    return file.getvalue()


def picture_file(number: int) -> bytes:
    """Return a picture as PNG; its number seeds the random generator."""
    file = io.BytesIO()
    Image.fromarray(picture(np.random.default_rng([SEED, len(SOUNDS), number]))).save(file, "PNG", optimize=True)
    return file.getvalue()


def sample_files() -> dict[str, Callable[[], bytes]]:
    """Return the paths of all sample files, each with a function that makes its content.

    Returns
    -------
    dict of str to callable
        ``sounds/<class>/<class>_<nn>.flac`` (twelve of each of ten classes) and ``pictures/leaves_<nn>.png`` (ten),
        paths with slashes, in the order of the classes.
    """
    sounds: dict[str, Callable[[], bytes]] = {
        f"sounds/{make.__name__}/{make.__name__}_{k:02d}.flac": partial(sound_file, kind, k)
        for kind, make in enumerate(SOUNDS)
        for k in range(FILES)
    }
    return sounds | {f"pictures/leaves_{k:02d}.png": partial(picture_file, k) for k in range(PICTURES)}
