"""Survey of what is new: `survey --new-only` over a survey of all recordings with the types of the earlier one.

A folder of recordings is surveyed without its last ones, which are then added. In turn, the survey is continued with
`--new-only`, and all recordings are surveyed with `--types-from`. Before each, cache and folders are as they were: the
cache has all fields (with `--cold`, those of the earlier recordings), and for the latter no sounds of an earlier
survey. The tables and the page must be the same. Printed: seconds and seconds of all processors per run, and the ratios
of the medians. Linux only.

    python -m benchmarks.continued [--recordings FOLDER] [--model MODEL] [--new 0.05] [--repeats 3] [--cold]

Without `--recordings`, ten hours of noise with sounds are written. Without `--model`, one is trained on a part of them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.commands import Cost, measured
from benchmarks.survey import FILE_SECONDS, write_recordings

HOURS = 10.0
SAME = ("events.csv", "bouts.csv", "types.csv", "effort.csv", "labels.csv", "index.html")
STORED = "*.safetensors"  # sounds, codes and excerpts of earlier surveys in the cache


def run(*command: object) -> Cost:
    """Run a command of audiosae and return what it took."""
    return measured([sys.executable, "-m", "audiosae", *map(str, command), "-q"])


def restore(kept: Path, folder: Path) -> None:
    """Bring a folder back to an earlier state."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(kept, folder)


def prepared(work: Path, recordings: Path | None, model: Path | None, share: float) -> tuple[Path, Path, list[Path]]:
    """Return the model, the folder of the recordings that are not new, and the new ones, as links in other folders."""
    if recordings is None:
        recordings = work / "written"
        write_recordings(recordings, round(HOURS * 3600 / FILE_SECONDS), FILE_SECONDS)
    every = sorted(path for path in recordings.iterdir() if path.is_file())
    old, new = work / "recordings", work / "new"
    for number, path in enumerate(every):
        folder = new if number >= len(every) - max(1, round(share * len(every))) else old
        folder.mkdir(exist_ok=True)
        (folder / path.name).symlink_to(path.absolute())
    if model is None:
        model = work / "run"
        few = ["--max-windows", "40000", "--epochs", "2"]
        run("train", *every[: max(1, len(every) // 10)], "-o", model, "--cache", work / "training", *few)
    return model, old, sorted(new.iterdir())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--recordings", type=Path, help="a folder of recordings, the new ones last")
    parser.add_argument("--model", type=Path)
    parser.add_argument("--new", type=float, default=0.05, help="share of the recordings that is new")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--cold", action="store_true", help="the new recordings are decoded, too")
    options: Any = parser.parse_args()
    with tempfile.TemporaryDirectory() as where:
        work = Path(where)
        model, sounds, new = prepared(work, options.recordings, options.model, options.new)
        cache, earlier, kept = work / "cache", work / "earlier", work / "kept"
        out, whole = work / "continued", work / "whole"
        run("survey", model, sounds, "-o", earlier, "--cache", cache)
        shutil.copytree(cache, kept)
        for path in new:
            path.rename(sounds / path.name)
        if not options.cold:
            run("survey", model, sounds, "-o", whole, "--types-from", earlier, "--cache", cache)
            shutil.copytree(cache, kept, ignore=shutil.ignore_patterns(STORED), dirs_exist_ok=True)
        times: dict[str, list[Cost]] = {"--new-only": [], "all": []}
        for _ in range(options.repeats):
            restore(kept, cache)
            restore(earlier, out)
            times["--new-only"].append(run("survey", model, sounds, "-o", out, "--new-only", "--cache", cache))
            restore(kept, cache)
            for path in cache.rglob(STORED):
                path.unlink()
            shutil.rmtree(whole, ignore_errors=True)
            times["all"].append(run("survey", model, sounds, "-o", whole, "--types-from", earlier, "--cache", cache))
        different = [name for name in SAME if (out / name).read_bytes() != (whole / name).read_bytes()]
    for name, each in times.items():
        print(f"{name}: " + ", ".join(cost.text for cost in each))
    for unit, part in (("time", "seconds"), ("time of the processors", "processor_seconds")):
        ours, theirs = (statistics.median(getattr(cost, part) for cost in each) for each in times.values())
        print(f"--new-only over all, {unit}: {ours / theirs:.3f}")
    print(f"different: {', '.join(different) or 'none'}")


if __name__ == "__main__":
    main()
