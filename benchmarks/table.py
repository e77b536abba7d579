"""From recordings to a table of features: train and export compared with a script of librosa and scikit-learn.

    python -m benchmarks.table DATA

prints the accuracy with which digits (DATA/fsdd) are classified from each table, leaving out one speaker at a time.
"""

from __future__ import annotations

import csv
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.evaluation.classifier import classify
from benchmarks.measure import Figure
from benchmarks.reading import write_sounds

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

WINDOWS = 200_000  # drawn for training; both methods use each about seven times
SCRIPT = """
import sys, pathlib, librosa, numpy as np, pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.cluster import MiniBatchKMeans
from sklearn.decomposition import MiniBatchDictionaryLearning
from sklearn.preprocessing import StandardScaler
method, sounds, out = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3]
units, drawn = map(int, sys.argv[4:])
paths, spectra = sorted(sounds.iterdir()), []
for path in paths:
    samples, rate = librosa.load(path, sr=22050)
    power = librosa.feature.melspectrogram(y=samples, sr=rate, n_fft=512, hop_length=220, n_mels=40)
    level = librosa.power_to_db(power, top_db=80).T
    level = np.pad(level, ((0, max(0, 16 - len(level))), (0, 0)), "edge")
    spectra.append(np.ascontiguousarray(level - level.mean(), np.float32))
def windows(level):
    return sliding_window_view(level, (16, 40))[:, 0].reshape(-1, 640)
rng, counts = np.random.default_rng(0), np.array([len(level) - 15 for level in spectra])
share = min(1.0, drawn / counts.sum())
x = np.concatenate([windows(level)[rng.random(count) < share] for level, count in zip(spectra, counts)])
scaler = StandardScaler().fit(x)
if method == "kmeans":
    learned = MiniBatchKMeans(units, batch_size=1024, max_iter=7, n_init=1, random_state=0)
else:
    learned = MiniBatchDictionaryLearning(units, batch_size=1024, max_iter=7, fit_algorithm="cd",
                                          transform_algorithm="omp", transform_n_nonzero_coefs=10, random_state=0)
learned.fit(scaler.transform(x))
rows = []
for level in spectra:
    codes = np.concatenate([learned.transform(scaler.transform(windows(level[at : at + 8192 + 15])))
                            for at in range(0, len(level) - 15, 8192)])
    rows.append(np.concatenate([codes.mean(axis=0), codes.max(axis=0), codes.std(axis=0)]))
frame = pd.DataFrame(rows, columns=[f"{pool}{unit}" for pool in ("mean", "max", "std") for unit in range(units)])
frame.insert(0, "file", [path.name for path in paths])
frame.to_parquet(out)
"""


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield figures for ten hours with mini-batch k-means, and for a quarter of an hour with a sparse dictionary."""
    cases = [("mini-batch k-means", "kmeans", 10.0, 1.0), ("MiniBatchDictionaryLearning", "dictionary", 0.25, 5.0)]
    for peer, method, hours, bar in cases:
        if short:
            yield _case(peer, method, 0.02, bar, units=16, repeats=1)
        else:
            yield _case(peer, method, hours, bar, units=256, repeats=3 if hours < 1 else 1)


def _case(peer: str, method: str, hours: float, bar: float, *, units: int, repeats: int) -> Figure:
    times: dict[str, list[float]] = {"ours": [], "theirs": []}
    with tempfile.TemporaryDirectory() as name:
        folder, drawn = Path(name), round(min(WINDOWS, hours * 360_000))
        sounds = folder / "sounds"
        sounds.mkdir()
        write_sounds(sounds, max(2, round(hours * 6)), min(600.0, hours * 1800), 22050)
        for number in range(repeats):
            times["theirs"].append(_theirs(sounds, folder, method, units, drawn))
            times["ours"].append(_ours(sounds, folder / f"ours{number}", units, drawn))
    ours, theirs = (statistics.median(each) for each in (times["ours"], times["theirs"]))
    detail = f"{hours:g} h, {units} units: {peer} {theirs:.1f} s, train and export {ours:.1f} s"
    return Figure(
        f"{hours:g} h to a table, librosa and {peer} over ours", theirs / ours, bar, at_least=True, detail=detail
    )


def _ours(sounds: Path, folder: Path, units: int, drawn: int) -> float:
    folder.mkdir()
    run, cache = str(folder / "run"), ["--cache", str(folder / "cache"), "-q"]
    audiosae, began = [sys.executable, "-m", "audiosae"], time.perf_counter()
    few = ["--hidden", str(units), "--max-windows", str(drawn), "--epochs", "7", "--solver", "adam"]
    subprocess.run([*audiosae, "train", str(sounds), "-o", run, *few, *cache], check=True)
    table = str(folder / "features.parquet")
    subprocess.run([*audiosae, "export", run, str(sounds), "-o", table, *cache], check=True)
    return time.perf_counter() - began


def _theirs(sounds: Path, folder: Path, method: str, units: int, drawn: int) -> float:
    began = time.perf_counter()
    arguments = [method, str(sounds), str(folder / "theirs.parquet"), str(units), str(drawn)]
    subprocess.run([sys.executable, "-W", "ignore", "-c", SCRIPT, *arguments], check=True)
    return time.perf_counter() - began


def digits(data: Path, units: int = 256) -> Iterator[str]:
    """Yield, for each method, a line with the seconds to a table of the digits and its accuracy over speakers."""
    sounds = data / "fsdd" / "recordings"
    rows = {row["filename"]: row for row in csv.DictReader((data / "fsdd" / "fsdd.csv").open(encoding="utf-8"))}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = _ours(sounds, folder / "ours", units, WINDOWS)
        yield f"train and export: {seconds:.1f} s, {_accuracy(folder / 'ours' / 'features.parquet', rows)}"
        for method in ("kmeans", "dictionary"):
            seconds = _theirs(sounds, folder, method, units, WINDOWS)
            yield f"librosa and {method}: {seconds:.1f} s, {_accuracy(folder / 'theirs.parquet', rows)}"


def _accuracy(table: Path, rows: Mapping[str, Mapping[str, str]]) -> str:
    import pandas as pd

    frame = pd.read_parquet(table)
    described = [rows[Path(name).name] for name in frame["file"]]
    classes, speakers = (np.unique([row[k] for row in described], return_inverse=True)[1] for k in ("digit", "speaker"))
    features = frame.drop(columns="duration", errors="ignore").select_dtypes("floating").to_numpy(np.float32)
    accuracies = []
    for speaker in np.unique(speakers):
        out = speakers == speaker
        predicted, _ = classify(features[~out], classes[~out], features[out], speakers[~out])
        accuracies.append(float(np.mean(predicted == classes[out])))
    mean, error = statistics.mean(accuracies), statistics.stdev(accuracies) / len(accuracies) ** 0.5
    return f"{100 * mean:.1f} ± {100 * error:.1f} % of digits right, {features.shape[1]} features"


if __name__ == "__main__":
    for line in digits(Path(sys.argv[1])):
        print(line, flush=True)
