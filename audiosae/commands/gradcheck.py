"""``audiosae gradcheck``: numerical check of the gradient on every backend."""

from __future__ import annotations

from typing import Any

from audiosae.autoencoder.gradient_check import SHARD_TOLERANCE, TOLERANCE, check_gradients
from audiosae.backends import detect_gpu, usable
from audiosae.commands.answer import Answer
from audiosae.system.frames import text_table
from audiosae.system.parameters import command


@command(example="audiosae gradcheck")
def gradcheck() -> Answer:
    """Check the gradient numerically on every backend.

    The gradient is compared with finite differences of the cost, for all combinations of units, output and penalties.

    Returns
    -------
    Answer
    """
    checks: list[dict[str, Any]] = [check for backend in usable() for check in check_gradients(backend)]
    rows = [("backend", "units", "output", "beta", "decay", "error", "shards", "")]
    for check in checks:
        check["passed"] = check["error"] <= TOLERANCE and check["shards"] <= SHARD_TOLERANCE
        rows.append(
            (
                check["backend"],
                check["activation"],
                check["decoder"],
                f"{check['beta']:g}",
                f"{check['weight_decay']:g}",
                f"{check['error']:.1e}",
                f"{check['shards']:.1e}",
                "ok" if check["passed"] else "WRONG",
            )
        )
    missing, passed = detect_gpu().reason, all(check["passed"] for check in checks)
    verdict = "every gradient is right" if passed else "a gradient is wrong"
    lines = [
        text_table(rows),
        f"{verdict} (float64; error at most {TOLERANCE:g}, shards at most {SHARD_TOLERANCE:g})",
        *([f"not checked: cupy ({missing})"] if missing else []),
    ]
    return Answer("\n".join(lines), {"passed": passed, "checks": checks, "without_cupy": missing}, passed)
