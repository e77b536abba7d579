"""Training runs for tests: with an engine of the test's choice, and of documented commands, made short."""

from __future__ import annotations

import shlex
import shutil

from conftest import REPOSITORY

from audiosae.commands.run_folder import RunFolder
from audiosae.corpus.sources import scan
from audiosae.domain import resolved
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training import memory_estimate
from audiosae.training.fit import fit
from audiosae.training.options import TrainOptions, suited_to

QUICK = {"hidden": 12, "epochs": 4, "batch_size": 128}

FEW = ["--hidden", 6, "--epochs", 8, "--max-windows", 2000]


def shortened(command):
    """Return the arguments of an audiosae command as it is written; training gets options that make it short."""
    arguments = shlex.split(command)[1:]
    return [*arguments, *FEW] if arguments[0] == "train" else arguments


def copy_some_samples(folder):
    """Copy a few samples of each kind to the paths that the commands use."""
    for path in sorted((REPOSITORY / "samples").rglob("*_0[0-5].*")):
        target = folder / path.relative_to(REPOSITORY)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, target)


def learn(folder, out, cache, *, engine=None, workers=1, progress=None, resume=False, **given):
    """Train on a folder of recordings into a run folder."""
    engine, domain = engine or LocalEngine(), Spectrogram()
    options = suited_to(engine, TrainOptions.resolve(domain.defaults, QUICK | given), 640)
    sources = scan([folder], domain.suffixes)
    domain = resolved(domain, [source.path for source in sources])
    memory_estimate.check(memory_estimate.lower_bound(domain, options))
    say = progress.say if progress else lambda _: None
    with RunFolder(out, resume=resume, say=say) as run:
        corpus = read(domain, sources, engine, cache=cache, workers=workers, progress=progress)
        result = fit(corpus, options, checkpoint=run, progress=progress)
        run.write(result)
    return result
