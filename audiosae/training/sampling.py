"""Choice of the windows to train on: all, some at random, or most of them from where something stands out."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus import selection
from audiosae.engine.prominent import can_stand_out, prominent_windows
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.domain import Domain
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.training.options import TrainOptions

_STREAM = (1 << 32) + 2  # separates the random numbers of this choice from all others
_SHARE = 0.85  # of the windows that stand out; with a half, more units show the background than without a choice
_MOST = 2**22  # windows, if --max-windows is not given: their numbers take 32 MB
_READ = 750_000  # windows, two hours of sound
_PACE = 2.5  # factor of the learning rate for one pass over a sample: the unexplained variance of two slower ones
_LEAST_SHARE = 10  # a tenth of all windows, also if less stands out


def check_sample(domain: Domain, options: TrainOptions) -> TrainOptions:
    """Return the options with ``sample`` chosen if it is auto.

    Raises
    ------
    InputError
        The domain does not know what stands out.
    """
    if options.sample == "events" and not can_stand_out(domain):
        raise InputError(
            f"--sample events: the domain {domain.name} does not know what stands out from the background; wanted "
            f"even or auto"
        )
    return replace(options, sample="even") if options.sample == "auto" else options


def windows_to_read(options: TrainOptions) -> int:
    """Return of how many windows of a long archive the sources are read, held-out ones included; 0 for all.

    With fewer ``--max-windows``, those to train on are drawn from as many: reading them takes seconds.
    """
    return max(options.max_windows, _READ) if options.max_windows else 0


def suited_to_sample(options: TrainOptions, given: Mapping[str, Any]) -> TrainOptions:
    """Return the options for the sample of a long archive: one pass of Adam at 2.5 times the learning rate.

    Whole folders have more passes, the fewer windows they have. Options stay as they are if the user chose the number
    of epochs, the learning rate, or fewer windows than a sample has; and with a sigmoid decoder, which learns less so.

    Parameters
    ----------
    given
        The options that the user gave; None for one that was not given.
    """
    chosen = any(given.get(name) is not None for name in ("epochs", "learning_rate"))
    if chosen or options.max_windows < _READ or (options.solver, options.decoder) != ("adam", "linear"):
        return options
    return replace(options, epochs=1, learning_rate=_PACE * options.learning_rate)


def sampled(corpus: EngineCorpus, options: TrainOptions) -> EngineCorpus:
    """Return the windows of a corpus to train on; the choice depends on the options and the sources only."""
    if options.sample == "events":
        return _mostly_events(corpus, options.max_windows, options.seed)
    return corpus.sample(options.max_windows, options.seed) if options.max_windows else corpus


def _mostly_events(corpus: EngineCorpus, most: int, seed: int) -> EngineCorpus:
    """Return windows of which 85 %, if there are as many, show more than background.

    Each recording gives the same number, or all that it has.
    """
    events = prominent_windows(corpus)
    edges = np.cumsum([0, *corpus.windows_per_record()]).tolist()
    rest = [selection.others(own, *ends) for own, ends in zip(events, pairwise(edges), strict=True)]
    there, every = sum(map(selection.total, events)), edges[-1]
    wanted = max(int(there / _SHARE), every // _LEAST_SHARE, 1)
    count = most if 0 < most < every else min(wanted, _MOST, every)
    rng = np.random.default_rng([seed, _STREAM])
    of_events = selection.drawn(events, max(round(_SHARE * count), count - (every - there)), rng)
    of_rest = selection.drawn(rest, count - sum(map(len, of_events)), rng)
    return corpus.part(corpus.records, np.sort(np.concatenate([*of_events, *of_rest])))
