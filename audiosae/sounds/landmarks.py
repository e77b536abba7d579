"""Landmarks of a map of sounds: they are stored with the sound types, so that a continued survey keeps its map."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from audiosae.system.schema import Tensor

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

_AXES = 2
TENSORS: dict[str, Tensor] = {
    "map.points": Tensor(("landmarks", "components"), optional=True),
    "map.positions": Tensor(("landmarks", "axes"), optional=True),
}


@dataclass(frozen=True)
class Landmarks:
    """Sounds whose positions on a map are known; other sounds are placed between them.

    Attributes
    ----------
    points
        Their points in the space of the types, (landmarks, components).
    positions
        Their positions on the map, (landmarks, 2).
    """

    points: NDArray[np.float32]
    positions: NDArray[np.float32]

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]]) -> Landmarks | None:
        """Return the landmarks among the tensors of a file; None if it has none, as one of an earlier version."""
        found = [tensors[name] for name in TENSORS if name in tensors]
        whole = len(found) == len(TENSORS) and len(found[0]) and found[1].shape[1] == _AXES
        return cls(*found) if whole else None

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """The landmarks as tensors of a file."""
        return dict(zip(TENSORS, (self.points, self.positions), strict=True))
