"""Human-readable summary of a model: domain, options, data, history, quality and activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import ALWAYS_ON
from audiosae.features.matching import redundant

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model
    from audiosae.features.stability import UnitStability


def activity_of(model: Model) -> dict[str, Any]:
    """Return statistics of the activity of a model's units over its training windows, as JSON."""
    return {
        "rho_hat_mean": float(model.rho_hat.mean()),
        "rho_hat_quantiles": np.quantile(model.rho_hat, [0, 0.1, 0.5, 0.9, 1]).tolist(),
        "dead_units": int(model.dead.sum()),
        "always_on_units": int((model.rho_hat > ALWAYS_ON).sum()),
        "redundant_units": redundant(model),
    }


def summarise(model: Model, activity: dict[str, Any], stability: UnitStability | None = None) -> list[tuple[str, str]]:
    """Return a summary of a model as (title, text) pairs; `activity` is the result of `activity_of`."""
    facts, params = model.facts, model.params
    sources, options, whitening, history = facts["sources"], facts["options"], facts["whitening"], facts["history"]
    low, tenth, median, ninetieth, high = activity["rho_hat_quantiles"]
    shown = {name: _option_text(options, name) for name in ("solver", "beta", "weight_decay", "seed", "dtype")}
    return [
        ("units", f"{params.hidden} {params.activation}, {params.decoder} output"),
        ("domain", f"{model.domain.name} of {facts['domain']['package']} {facts['domain']['version']}"),
        ("", "  ".join(f"{key}={value}" for key, value in facts["domain"]["options"].items())),
        ("window", " x ".join(map(str, model.domain.window))),
        (
            "whitening",
            f"{whitening['kind']}, power {_option_text(options, 'whiten_power')}, {params.width} of "
            f"{model.whitener.width} numbers",
        ),
        (
            "training",
            f"{shown['solver']}, rho {options['rho']:g}, beta {shown['beta']}, weight decay {shown['weight_decay']}, "
            f"seed {shown['seed']}, {shown['dtype']}",
        ),
        (
            "data",
            f"{sources['used']} sources used, {sources['skipped']} skipped, {sources['windows']} windows for "
            f"training; held out: {sources['held_out']}",
        ),
        ("history", f"{history['epoch']} epochs, {history['step']} steps, cost {history['cost']:.4g}"),
        (
            "quality",
            f"unexplained variance {facts['fvu']:.3f} in the whitened space "
            f"({'held-out' if facts['held_out'] else 'training'} windows)",
        ),
        (
            "activity",
            f"mean {activity['rho_hat_mean']:.4f} (rho {options['rho']:g}); quantiles over the units (0, 10, 50, 90, "
            f"100 %): {low:.4f}, {tenth:.4f}, {median:.4f}, {ninetieth:.4f}, {high:.4f}; {activity['dead_units']} "
            f"dead, {activity['always_on_units']} active in most windows",
        ),
        (
            "redundancy",
            f"{activity['redundant_units']} of {params.hidden} units have nearly the same atom as another (cosine 0.95 "
            f"or more)",
        ),
        *([("stability", stability.summary())] if stability else []),
        ("made by", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())),
    ]


def _option_text(options: dict[str, Any], name: str) -> str:
    """Return the value of an option as text, or "?" if the model is of a version without this option."""
    value = options.get(name, "?")
    return f"{value:g}" if isinstance(value, float) else str(value)
