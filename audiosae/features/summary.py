"""Human-readable summary of a model: domain, options, data, history, quality and activity."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.model import ALWAYS_ON
from audiosae.features.background import BACKGROUND
from audiosae.features.matching import redundant

if TYPE_CHECKING:
    from collections.abc import Mapping

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
    options, whitening, domain = facts["options"], facts["whitening"], facts["domain"]
    low, tenth, median, ninetieth, high = activity["rho_hat_quantiles"]
    shown = {name: _option_text(options, name) for name in ("solver", "beta", "weight_decay", "seed", "dtype")}
    return [
        ("units", f"{params.hidden} {params.activation}, {params.decoder} output"),
        ("domain", f"{model.domain.name} of {fact(domain, 'package')} {fact(domain, 'version')}"),
        ("", "  ".join(f"{key}={value}" for key, value in domain["options"].items())),
        ("window", window_text(model)),
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
        *_training_rows(facts),
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
        *([("background", f"{facts['background_units']} units: {BACKGROUND}")] if "background_units" in facts else []),
        *([("stability", stability.summary())] if stability else []),
        ("made by", versions_of(model)),
    ]


def window_text(model: Model) -> str:
    """Return the size of windows, and how many units see shorter ones."""
    size = " x ".join(map(str, model.domain.window))
    return "; ".join([size, *(f"{part.params.hidden} units see {window_text(part)}" for part in model.parts()[:-1])])


def _training_rows(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    used, skipped, windows, held_out = (
        fact(facts, "sources", key) for key in ("used", "skipped", "windows", "held_out")
    )
    epoch, step, cost = (fact(facts, "history", key, form=".4g" * (key == "cost")) for key in ("epoch", "step", "cost"))
    scored_on = "held-out" if facts.get("held_out") else "training"
    return [
        ("data", f"{used} sources used, {skipped} skipped, {windows} windows for training; held out: {held_out}"),
        *(
            [("sample", f"{share} of {facts['archive']['sources']:,} sources")]
            if (share := archive_share(facts))
            else []
        ),
        ("history", f"{epoch} epochs, {step} steps, cost {cost}"),
        (
            "quality",
            f"unexplained variance {fact(facts, 'fvu', form='.3f')} in the whitened space ({scored_on} windows)",
        ),
    ]


def archive_share(facts: Mapping[str, Any]) -> str:
    """Return which share of a long archive was read for training, as text; "" if all of it was."""
    whole, read = facts.get("archive", {}).get("extent"), facts.get("sources", {}).get("extent")
    return f"{100 * read / whole:.2g} %" if whole and read is not None else ""


def fact(facts: Mapping[str, Any], *keys: str, form: str = "") -> str:
    """Return a fact of a model as text, or "?" if the model lacks it: one made in Python may have no provenance."""
    value: Any = facts
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return "?" if value is None else format(value, form)


def versions_of(model: Model) -> str:
    """Return the packages with which a model was made, as text."""
    return ", ".join(f"{name} {number}" for name, number in model.facts.get("versions", {}).items()) or "?"


def _option_text(options: dict[str, Any], name: str) -> str:
    """Return the value of an option as text, or "?" if the model is of a version without this option."""
    value = options.get(name, "?")
    return f"{value:g}" if isinstance(value, float) else str(value)
