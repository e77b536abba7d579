"""How many of the tested files a model was trained on, as a number and in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.known_sources import known
from audiosae.evaluation.verdict import listed, name_of
from audiosae.training.fit import sources_digest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.autoencoder.model import Model
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.evaluation.folds import Plan
    from audiosae.features.stretches import Stretches

_LEARNED = ("pca", "kmeans", "nmf")  # baselines that learn from all files, unless features are learned again
_REFIT = "--refit trains only on the training part of each fold"


def training_part(
    model: Model,
    corpus: EngineCorpus,
    plan: Plan,
    baselines: Sequence[str],
    *,
    refit: bool,
    stretches: Stretches | None = None,
) -> dict[str, Any]:
    """Return `seen` and `seen_told`: how many of the tested items the model was trained on, and in words.

    `seen` is None if the model does not say it. Files are compared by the content of their fields, not by name.
    An item that is a stretch of a file counts as seen if the model was trained on the file.
    """
    tested, noun = len(plan.tested), f"test {plan.noun}s"
    if refit:
        part = "the training part of each fold"
        return {"seen": 0, "seen_told": f"trained on none of the {tested} {noun}: all features were learned on {part}"}
    seen = _seen(model, corpus, plan, stretches)
    if seen is None:
        told = f"not known whether the model was trained on the {tested} {noun}: it does not list its sources"
    elif seen == tested:
        told = f"trained on all {tested} {noun}, without their labels ({_REFIT})"
    else:
        many = f"{seen} of the {tested} {noun}, without their labels" if seen else f"none of the {tested} {noun}"
        told = f"trained on {many}"
    learned = [name_of(name, corpus.domain.kind) for name in _LEARNED if name in baselines]
    if learned and seen != tested:  # the baselines have an advantage
        told += f"; {listed(learned)} learned from all of them ({_REFIT})"
    return {"seen": seen, "seen_told": told}


def _seen(model: Model, corpus: EngineCorpus, plan: Plan, stretches: Stretches | None) -> int | None:
    sources = model.facts.get("sources", {})
    records = zip(corpus.records, corpus.windows_per_record(), strict=True)
    if sources_digest([record for record, windows in records if windows]) == sources.get("digest"):
        return len(plan.tested)
    inside = known(sources.get("digests", ""), corpus.records)
    if inside is None:
        return None
    record = plan.tested if stretches is None else stretches.record[plan.tested]
    return int(np.count_nonzero(inside[record]))
