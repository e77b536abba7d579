"""What a model is, in words and numbers: its domain, options, data, history, quality and activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import ALWAYS_ON
from audiosae.features.matching import redundant

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model
    from audiosae.features.stability import UnitStability


def activity_of(model: Model) -> dict[str, Any]:
    """Return the activity of a model's units over its training windows."""
    return {
        "rho_hat_mean": float(model.rho_hat.mean()),
        "rho_hat_quantiles": np.quantile(model.rho_hat, [0, 0.1, 0.5, 0.9, 1]).tolist(),
        "dead_units": int(model.dead.sum()),
        "always_on_units": int((model.rho_hat > ALWAYS_ON).sum()),
        "redundant_units": redundant(model),
    }


def summarise(
    model: Model, activity: dict[str, Any], stability: UnitStability | None = None
) -> list[tuple[str, str]]:  # fmt: skip
    """Return what a person wants to know of a model, with a word before each; `activity` as of `activity_of`."""
    facts, params = model.facts, model.params
    sources, options, whitening = facts["sources"], facts["options"], facts["whitening"]
    low, tenth, median, ninetieth, high = activity["rho_hat_quantiles"]
    return [
        ("units", f"{params.hidden} {params.activation}, {params.decoder} output"),
        ("domain", f"{model.domain.name} of {facts['domain']['package']} {facts['domain']['version']}"),
        ("", "  ".join(f"{key}={value}" for key, value in facts["domain"]["options"].items())),
        ("window", " x ".join(map(str, model.domain.window))),
        ("whitening", f"{whitening['kind']}, power {_told(options, 'whiten_power')}, "
                      f"{params.width} of {model.whitener.width} numbers"),
        ("training", f"{_told(options, 'solver')}, rho {options['rho']:g}, beta {_told(options, 'beta')}, "
                     f"weight decay {_told(options, 'weight_decay')}, seed {_told(options, 'seed')}, "
                     f"{_told(options, 'dtype')}"),
        ("data", f"{sources['used']} sources used, {sources['skipped']} skipped, {sources['windows']} windows; "
                 f"held out: {sources['held_out']}"),
        ("history", f"{facts['history']['epoch']} epochs, {facts['history']['step']} steps, "
                    f"cost {facts['history']['cost']:.4g}"),
        ("quality", f"unexplained variance {facts['fvu']:.3f} in the whitened space"
                    f" ({'held-out' if facts['held_out'] else 'training'} windows)"),
        ("activity", f"mean {activity['rho_hat_mean']:.4f} (rho {options['rho']:g}); units from {low:.4f} over "
                     f"{tenth:.4f}, {median:.4f}, {ninetieth:.4f} to {high:.4f}; dead {activity['dead_units']}, "
                     f"on in most windows {activity['always_on_units']}"),
        ("redundancy", f"{activity['redundant_units']} of {params.hidden} units have an atom that another has too "
                       f"(cosine 0.95 or more)"),
        *([("stability", stability.summary())] if stability else []),
        ("made by", ", ".join(f"{name} {number}" for name, number in facts["versions"].items())),
    ]  # fmt: skip


def _told(options: dict[str, Any], name: str) -> str:
    """Return an option as it is shown; another version may not have had it."""
    value = options.get(name, "?")
    return f"{value:g}" if isinstance(value, float) else str(value)
