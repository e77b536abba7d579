"""Events and bouts of a survey of real animal sounds, and an amplitude threshold with the best settings for each set.

The true sounds are known in two ways. Labelled clips are planted at known times into soft pink noise, at three
densities. Sets that were annotated by hand are used unchanged, except that recordings that were cut into pieces are
joined again. For each set, a model is trained and a survey is made with the defaults. Printed per set, for the events
and the bouts of the survey and for the threshold: recall and precision at any overlap and at an intersection over union
(IoU) of at least 0.5, and events per true sound. The last three columns are for planted sets, where an event belongs to
the true sound with which it or its bout has the largest IoU: the share of sounds to which an event belongs, the bouts
of such a sound, and the share of sounds with a bout of an IoU of at least 0.5, only its events of that sound counted.
The figures are means over draws (planted sets) or model seeds (annotated sets), with the standard error.

    python -m benchmarks.field DATA [--sets kinds-sparse,finch,...] [--repeats 5] [--hidden 256]

DATA has folders with a table FOLDER/FOLDER.csv: filename, start, end (s), label. The files of a set in
which no sound starts later than 0 are clips, which are planted.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

import audiosae

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Spans = Mapping[str, NDArray[np.float64]]  # (sounds, 2): start and end in seconds, for each recording

DENSITIES = {"sparse": (6.0, 9.0), "dense": (0.5, 1.5), "overlap": (-1.5, 1.0)}  # s from one sound to the next
RATE, MINUTES, EACH = 32000, 5.0, 28  # of planted recordings; clips of each label
SECONDS, LEVELS = (1.0, 4.0), (6.0, 25.0)  # length of a planted sound; dB over the background
BACKGROUND, FADE = 0.003, 0.02  # RMS of the background; s at either end of a planted sound
PIECED = ("finch", "zebra", "warblers")  # recordings that were cut into pieces X_01, X_02, ...
HALF = 0.5  # IoU from which an event is that sound
OWNED = 0.25  # share of an event that lies on the sound to which it belongs
FRAME = 0.002  # s: of the amplitude threshold
GRID = {  # settings of the threshold: pause and shortest event (s), depth (dB below the loud frames), lowest frequency
    "gap": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "shortest": (0.003, 0.02, 0.1),
    "depth": (12, 18, 24, 30, 36),
    "low_hz": (0, 500, 15000),
}


@dataclass(frozen=True)
class Score:
    """Agreement of events with true sounds."""

    recall: float
    precision: float
    recall_half: float
    precision_half: float
    per_sound: float
    owned: float
    bouts_per_sound: float
    bout_half: float

    @classmethod
    def of(cls, truth: Spans, events: Spans, bouts: Mapping[str, NDArray[np.intp]] | None = None) -> Score:
        """Compare the events of all recordings with the true sounds; IoU pairs are one to one.

        `bouts` has the number of the bout of each event of a recording; None if each is its own.
        """
        from scipy.optimize import linear_sum_assignment

        sounds, found = (sum(len(spans) for spans in each.values()) for each in (truth, events))
        heard = right = pairs = touching = 0
        for name, true in truth.items():
            mine = events.get(name, np.empty((0, 2)))
            if not len(true) or not len(mine):
                continue
            shared = np.minimum(true[:, 1:], mine[:, 1]) - np.maximum(true[:, :1], mine[:, 0])
            whole = np.maximum(true[:, 1:], mine[:, 1]) - np.minimum(true[:, :1], mine[:, 0])
            iou = np.maximum(shared, 0) / whole
            heard += int((shared > 0).any(axis=1).sum())
            right += int((shared > 0).any(axis=0).sum())
            touching += int((shared > 0).sum())
            rows, columns = linear_sum_assignment(-((iou >= HALF) + 1e-3 * iou))
            pairs += int((iou[rows, columns] >= HALF).sum())
        return cls(
            heard / max(1, sounds),
            right / max(1, found),
            pairs / max(1, sounds),
            pairs / max(1, found),
            touching / max(1, heard),
            *_by_bouts(truth, events, bouts or {name: np.arange(len(spans)) for name, spans in events.items()}),
        )

    @property
    def half(self) -> float:
        """F1 at an IoU of one half."""
        total = self.recall_half + self.precision_half
        return 2 * self.recall_half * self.precision_half / total if total else 0.0


def _iou(spans: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the intersection over union of each of some spans with each of others, (spans, others)."""
    shared = np.minimum(spans[:, None, 1], other[:, 1]) - np.maximum(spans[:, None, 0], other[:, 0])
    whole = np.maximum(spans[:, None, 1], other[:, 1]) - np.minimum(spans[:, None, 0], other[:, 0])
    return np.asarray(np.maximum(shared, 0) / whole)


def owners(true: NDArray[np.float64], mine: NDArray[np.float64], bout: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the true sound to which each event of a recording belongs, -1 if to none; `bout` is that of each event."""
    low, high = np.full(bout.max() + 1, np.inf), np.full(bout.max() + 1, -np.inf)
    np.minimum.at(low, bout, mine[:, 0])
    np.maximum.at(high, bout, mine[:, 1])
    shared = np.minimum(mine[:, None, 1], true[:, 1]) - np.maximum(mine[:, None, 0], true[:, 0])
    near = shared >= OWNED * (mine[:, 1] - mine[:, 0])[:, None]
    closeness = np.where(near, _iou(np.stack([low, high], axis=1)[bout], true), -1)
    return np.where(near.any(axis=1), closeness.argmax(axis=1), -1)


def _by_bouts(truth: Spans, events: Spans, bouts: Mapping[str, NDArray[np.intp]]) -> tuple[float, float, float]:
    """Return the share of sounds that own an event, their bouts, and the share with a bout of an IoU of a half."""
    owned = pieces = half = sounds = 0
    for name, true in truth.items():
        mine, bout = events.get(name, np.empty((0, 2))), bouts.get(name, np.empty(0, np.intp))
        sounds += len(true)
        if not len(true) or not len(mine):
            continue
        owner = owners(true, mine, bout)
        for sound in np.unique(owner[owner >= 0]):
            spans = [mine[(owner == sound) & (bout == number)] for number in np.unique(bout[owner == sound])]
            whole = np.array([(part[:, 0].min(), part[:, 1].max()) for part in spans])
            owned, pieces = owned + 1, pieces + len(whole)
            half += int(_iou(whole, true[[sound]]).max() >= HALF)
    return owned / max(1, sounds), pieces / max(1, owned), half / max(1, sounds)


def table_of(folder: Path) -> list[dict[str, str]]:
    """Return the rows of the table of a set."""
    with (folder / f"{folder.name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def plant(folder: Path, density: str, seed: int, out: Path) -> Spans:
    """Write recordings in which clips of a set are planted; return the true sounds."""
    rng = np.random.default_rng(seed)
    clips = (_sound(folder / name, rng) for name, _ in drawn(folder, rng))
    count, truth, sound = int(MINUTES * 60 * RATE), {}, next(clips)
    while sound is not None:
        name, mixed, spans, at = f"20240601_{len(truth):02d}3000.wav", _background(count, rng), [], 4.0
        while sound is not None and at + len(sound) / RATE < MINUTES * 60 - 1:
            first, level = int(at * RATE), rng.uniform(*LEVELS)
            mixed[first : first + len(sound)] += sound * BACKGROUND * 10 ** (level / 20)
            spans.append((at, at + len(sound) / RATE))
            at += max(0.3, len(sound) / RATE + rng.uniform(*DENSITIES[density]))
            sound = next(clips, None)
        soundfile.write(out / name, np.clip(mixed, -1, 1), RATE, subtype="PCM_16")
        truth[name] = np.array(spans)
    return truth


def drawn(folder: Path, rng: np.random.Generator) -> list[tuple[str, str]]:
    """Return file name and label of the clips of a set that are planted, in order."""
    names = defaultdict(list)
    for row in table_of(folder):
        names[row.get("label") or row["category"]].append(row["filename"])
    chosen = [
        (name, label) for label, files in names.items() for name in rng.permutation(sorted(files))[:EACH].tolist()
    ]
    return [chosen[i] for i in rng.permutation(len(chosen))]


def _sound(path: Path, rng: np.random.Generator) -> Samples:
    """Return the loudest part of a clip, 1 to 4 s, of unit power, faded in and out."""
    import librosa

    sound = librosa.load(path, sr=RATE)[0]
    loud = np.flatnonzero(np.abs(sound) > 1e-3 * np.abs(sound).max())
    sound = sound[loud[0] : loud[-1] + 1]
    count = min(len(sound), int(rng.uniform(*SECONDS) * RATE))
    power = np.concatenate([[0], np.cumsum(np.square(sound, dtype=np.float64))])
    first = int((power[count:] - power[:-count]).argmax())
    sound, fade = sound[first : first + count].copy(), min(count // 3, int(FADE * RATE))
    ramp = np.linspace(0, 1, fade, dtype=np.float32)
    sound[:fade] *= ramp
    sound[count - fade :] *= ramp[::-1]
    return np.asarray(sound / max(float(sound.std()), 1e-9), np.float32)


def _background(count: int, rng: np.random.Generator) -> Samples:
    """Return soft pink noise whose level wanders by some 3 dB."""
    spectrum = np.fft.rfft(rng.standard_normal(count))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(np.arange(len(spectrum)), 1)), count)
    wander = 1 + 0.3 * np.sin(np.linspace(0, rng.uniform(3, 9), count))
    return np.asarray(BACKGROUND * pink / pink.std() * wander, np.float32)


def annotated(folder: Path, out: Path) -> Spans:
    """Write the recordings of an annotated set, joined where they were cut; return the annotations."""
    return {name: np.array([row[:2] for row in rows]).reshape(-1, 2) for name, rows in labelled(folder, out).items()}


def labelled(folder: Path, out: Path) -> dict[str, list[tuple[float, float, str]]]:
    """Write the recordings of an annotated set; return start, end and label of the annotations of each."""
    pieces = defaultdict(list)
    for row in table_of(folder):
        pieces[row["filename"]].append((row["start"], row["end"], row["label"]))
    whole: dict[str, list[str]] = defaultdict(list)
    for name in sorted(pieces):
        whole[name.rpartition("_")[0] if folder.name in PIECED else Path(name).stem].append(name)
    truth = {}
    for stem, names in whole.items():
        sounds, spans, at = [], [], 0.0
        for name in names:
            sound, rate = soundfile.read(folder / name, dtype="int16")
            spans += [(float(start) + at, float(end) + at, label) for start, end, label in pieces[name] if start]
            sounds.append(sound)
            at += len(sound) / rate
        soundfile.write(out / f"{stem}.wav", np.concatenate(sounds), rate)
        truth[f"{stem}.wav"] = spans
    return truth


def surveyed(folder: Path, truth: Spans, hidden: int, seed: int) -> tuple[Score, Score]:
    """Return the scores of the events and the bouts of a survey with the defaults, by a model of the recordings."""
    model = audiosae.train(folder, hidden=hidden, seed=seed).model
    survey = audiosae.survey(model, folder)
    spans, bouts, own = {}, {}, {}
    for number, record in enumerate(survey.records):
        for table, of_file in ((survey.events, spans), (survey.bouts, bouts)):
            chosen = table.record == number
            of_file[record.file] = np.stack([table.start[chosen], table.end[chosen]], axis=1)
        own[record.file] = survey.events.bout[survey.events.record == number].astype(np.intp)
    return Score.of(truth, spans, own), Score.of(truth, bouts)


def best_threshold(folder: Path, truth: Spans) -> Score:
    """Return the score of the amplitude threshold whose settings agree best with the truth."""
    scores = []
    for low_hz in GRID["low_hz"]:
        levels = {name: _levels(folder / name, low_hz) for name in truth}
        for gap, shortest, depth in product(GRID["gap"], GRID["shortest"], GRID["depth"]):
            events = {name: _loud(level, gap, shortest, depth) for name, level in levels.items()}
            scores.append(Score.of(truth, events))
    return max(scores, key=lambda score: score.half)


def _levels(path: Path, low_hz: float) -> Samples:
    """Return the level of each frame in dB, above a frequency."""
    from scipy.signal import butter, sosfiltfilt

    sound, rate = soundfile.read(path, dtype="float32")
    if low_hz and low_hz < 0.4 * rate:
        sound = sosfiltfilt(butter(4, low_hz, "high", fs=rate, output="sos"), sound)
    step = max(1, round(FRAME * rate))
    frames = np.asarray(sound[: len(sound) // step * step]).reshape(-1, step)
    return np.asarray(10 * np.log10(np.square(frames).mean(axis=1) + 1e-12), np.float32)


def _loud(level: Samples, gap: float, shortest: float, depth: float) -> NDArray[np.float64]:
    """Return the spans whose level is above that of the loud frames of a recording minus a depth, (spans, 2) in s."""
    loud = np.flatnonzero(level > np.quantile(level, 0.98) - depth)
    if not len(loud):
        return np.empty((0, 2))
    cut = np.flatnonzero(np.diff(loud) > gap / FRAME + 1)
    first, last = loud[np.concatenate([[0], cut + 1])], loud[np.concatenate([cut, [len(loud) - 1]])] + 1
    spans = np.stack([first, last], axis=1) * FRAME
    return spans[spans[:, 1] - spans[:, 0] >= shortest]


def measured(data: Path, name: str, repeats: int, hidden: int) -> Iterator[tuple[Score, Score, Score]]:
    """Yield the scores of the survey's events and bouts and of the threshold for each draw or seed."""
    set_name, _, density = name.partition("-")
    for repeat in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder)
            truth = plant(data / set_name, density, repeat, out) if density else annotated(data / set_name, out)
            yield *surveyed(out, truth, hidden, repeat), best_threshold(out, truth)


def shown(scores: Sequence[Score]) -> list[str]:
    """Return means with standard errors, as the cells of a row."""
    columns = [[getattr(score, name) for score in scores] for name in Score.__dataclass_fields__]
    error = [np.std(column, ddof=1) / len(column) ** 0.5 if len(column) > 1 else 0.0 for column in columns]
    return [f"{np.mean(column):.3f} ± {each:.3f}" for column, each in zip(columns, error, strict=True)]


def sets_of(data: Path) -> list[str]:
    """Return the sets in a folder: clips at each density, and annotated sets."""
    names: list[str] = []
    for folder in sorted(path.parent for path in data.glob("*/*.csv") if path.stem == path.parent.name):
        timed = any(float(row.get("start") or 0) for row in table_of(folder))
        names += [folder.name] if timed else [f"{folder.name}-{density}" for density in DENSITIES]
    return names


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--sets", default="", help="with commas between  [default: all in DATA]")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--hidden", type=int, default=256)
    options: Any = parser.parse_args()
    print(
        "| set | by | recall | precision | recall, IoU 0.5 | precision, IoU 0.5 | events per sound "
        "| sounds with an event | bouts per sound | sounds with a bout of IoU 0.5 |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for name in options.sets.split(",") if options.sets else sets_of(options.data):
        repeats = list(measured(options.data, name, options.repeats, options.hidden))
        for by, scores in zip(("events", "bouts", "threshold"), zip(*repeats, strict=True), strict=True):
            print(f"| {name} | {by} | {' | '.join(shown(scores))} |", flush=True)


if __name__ == "__main__":
    main()
