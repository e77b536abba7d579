"""audiosae: sparse features of unlabelled recordings.

`load_model` reads what ``audiosae train`` wrote. Nothing heavy is imported until it is needed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audiosae.model import Model, load_model

__all__ = ["Model", "load_model"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import `load_model` and `Model` when they are asked for."""
    if name in __all__:
        from audiosae import model

        return getattr(model, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
