"""Addition in a fixed binary tree, wherever and in whichever order the parts are ready."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Run:
    """Totals of consecutive shards, added as far as the tree allows; runs that meet add.

    A node of the tree holds 2^k shards and begins at a multiple of 2^k. The nodes of a run are the largest that lie
    within it, so the sum of two runs does not depend on how the shards were divided between them: rounding is that of
    the tree, on one machine and on many.

    Attributes
    ----------
    nodes
        (first shard, number of shards, total), in order and without gaps; the total is None where there is nothing.
    """

    nodes: tuple[tuple[int, int, Any], ...] = ()

    @classmethod
    def of(cls, shard: int, total: Any) -> Run:  # noqa: ANN401
        """Return the run of one shard."""
        return cls(((shard, 1, total),))

    def __add__(self, other: Run) -> Run:
        """Return the run of both; `other` begins where this one ends."""
        nodes = list(self.nodes)
        for first, count, total in other.nodes:
            while nodes and nodes[-1][1] == count and nodes[-1][0] % (2 * count) == 0:
                before, _, left = nodes.pop()
                first, count, total = before, 2 * count, _added(left, total)
            nodes.append((first, count, total))
        return Run(tuple(nodes))

    def total(self) -> Any:  # noqa: ANN401
        """Return the sum of all shards, those after the last counting for nothing."""
        found = None
        for _, _, total in reversed(self.nodes):
            found = _added(total, found)
        return found


def _added(left: Any, right: Any) -> Any:  # noqa: ANN401
    if left is None or right is None:
        return right if left is None else left
    return left + right
