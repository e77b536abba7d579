"""Metrics of the units on labelled sources: reconstruction, sparseness, and the units that best separate each label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import DEAD_SHARE
from audiosae.autoencoder.sae import encode
from audiosae.backends.cpu import TANH
from audiosae.engine.feed import Feed, score
from audiosae.evaluation import baselines
from audiosae.features.activity import ACTIVE, ActivityStatistics
from audiosae.features.codes import FeatureSet

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model
    from audiosae.autoencoder.sae import Params
    from audiosae.backends import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.evaluation.folds import Plan
    from audiosae.features.stretches import Stretches

    Array = Any

_ALWAYS = 0.5  # share of the windows
_MEASURED_WINDOWS = 2**17
_UNITS_PER_LABEL = 3
_RANKED = 64  # units whose ranks, in double precision, are in memory at a time


def unit_metrics(model: Model, corpus: EngineCorpus, plan: Plan, stretches: Stretches | None = None) -> dict[str, Any]:
    """Return metrics of a model on sources: reconstruction, sparsity, dead units, units per label.

    The metrics of the units are defined in `audiosae.features.activity`.
    """
    feed = Feed(corpus.sample(_MEASURED_WINDOWS), model.whitener, dtype=str(model.params.flat.dtype))
    usage: ActivityStatistics = feed.sum_over(_usage_of, model.params)
    return {
        "fvu": score(feed, model.params).fvu,
        "windows": usage.count,
        "mean_activity": float(usage.mean.mean()),
        "lifetime_sparseness": float(usage.lifetime_sparseness.mean()),
        "population_sparseness": usage.population_sparseness,
        "active_above": ACTIVE,
        "l0": float(usage.share.sum()),
        "dead_units": np.flatnonzero(usage.mean < DEAD_SHARE * float(model.facts["options"]["rho"])).tolist(),
        "always_on_units": np.flatnonzero(usage.share > _ALWAYS).tolist(),
        "units_of_labels": _units_of_labels(model, corpus, plan, stretches),
    }


def _usage_of(backend: Backend, x: Array, params: Params) -> ActivityStatistics:
    codes = backend.to_host(encode(backend, params.on(backend), x))
    return ActivityStatistics.of((codes + 1) / 2 if params.activation == TANH else codes)


def _units_of_labels(
    model: Model, corpus: EngineCorpus, plan: Plan, stretches: Stretches | None
) -> list[dict[str, Any]]:
    """Return, for each label, the units whose mean activity best separates its files or stretches from the others.

    The measure is the area under the ROC curve, from the Mann-Whitney statistic: 0.5 is chance, 1 perfect separation.
    The units are selected on the same files, so the areas are a description, not a prediction.
    """
    from scipy.stats import rankdata

    features = FeatureSet.of(model, "activation")
    activity = baselines.pooled_files(corpus, features, pools=("mean",), stretches=stretches)
    member = plan.target[:, None] == np.arange(len(plan.classes))
    inside = member.sum(axis=0)
    parts = [activity[:, at : at + _RANKED] for at in range(0, activity.shape[1], _RANKED)]
    ranks = np.concatenate([member.T.astype(float) @ rankdata(part, axis=0) for part in parts], axis=1)
    areas = (ranks - (inside * (inside + 1) / 2)[:, None]) / (inside * (len(activity) - inside))[:, None]
    best = np.argsort(-areas, axis=1, kind="stable")[:, :_UNITS_PER_LABEL]
    return [
        {"label": label, "unit": int(unit), "auc": float(areas[row, unit])}
        for row, label in enumerate(plan.classes)
        for unit in best[row]
    ]
