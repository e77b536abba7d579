"""audiosae: sparse features of unlabelled recordings.

`load_model` reads what ``audiosae train`` wrote; `SparseAutoencoder` learns from an array, in scikit-learn's manner.
Nothing heavy is imported until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiosae.autoencoder.model import Model, load_model
    from audiosae.estimator import SparseAutoencoder

__all__ = ["Model", "SparseAutoencoder", "load_model"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import what the package offers when it is asked for."""
    if name in __all__:
        from importlib import import_module

        return getattr(
            import_module("audiosae.estimator" if name == "SparseAutoencoder" else "audiosae.autoencoder.model"), name
        )
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
