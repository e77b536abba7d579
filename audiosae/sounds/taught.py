"""What people said about sounds, in the terms of some sound types, with which it is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.sounds.answers import NO, OTHER, YES, Answer
from audiosae.system.schema import Choice, Items, Number, Object, Optional, Text, Whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from audiosae.domain import Json

TAUGHT = Object(  # schema of `Taught.to_json`
    {
        "answers": Items(
            Object(
                {
                    "file": Text(),
                    "start": Number(0),
                    "end": Number(0),
                    "type": Optional(Whole()),
                    "label": Text(),
                    "answer": Choice("", YES, NO, OTHER),
                },
                rest=None,
            )
        ),
        "joined": Object(rest=Whole(1), keys=Text("[1-9][0-9]{0,8}", "the number of a type")),
    },
    rest=None,
)


@dataclass(frozen=True)
class Taught:
    """What people said about sounds, in the terms of some sound types.

    Attributes
    ----------
    answers
        Answers; a type is stated only for sounds that were moved to it.
    points
        Point of each of these sounds in the space of the types, (answers, components).
    joined
        Types whose sounds were all moved to one other type, and that type.
    centres, reach
        Of types that people added; their numbers follow those of the others. (added, components), (added,).
    """

    answers: tuple[Answer, ...]
    points: NDArray[np.float32]
    joined: Mapping[int, int]
    centres: NDArray[np.float32]
    reach: NDArray[np.float32]

    @classmethod
    def nothing(cls, components: int) -> Taught:
        """Return that nothing was said."""
        none = np.empty((0, components), np.float32)
        return cls((), none, {}, none, np.empty(0, np.float32))

    @property
    def tensors(self) -> dict[str, NDArray[np.float32]]:
        """Its arrays that are not empty, for a file."""
        arrays = {"taught.points": self.points, "taught.centres": self.centres, "taught.reach": self.reach}
        return {name: array for name, array in arrays.items() if array.size}

    def to_json(self) -> dict[str, Json]:
        """Return everything but the arrays as values for JSON."""
        names = ("file", "start", "end", "type", "label", "answer")
        answers: list[Json] = [{name: getattr(each, name) for name in names} for each in self.answers]
        return {"answers": answers, "joined": {str(old): new for old, new in self.joined.items()}}

    @classmethod
    def of(cls, values: Mapping[str, Any], tensors: Mapping[str, NDArray[np.float32]], components: int) -> Taught:
        """Return what was said from `to_json` and `tensors`."""
        none = cls.nothing(components)
        answers = tuple(Answer(**each) for each in values["answers"])
        points = tensors.get("taught.points", none.points)
        if len(points) != len(answers):
            answers, points = (), none.points
        joined = {int(old): new for old, new in values["joined"].items()}
        return cls(
            answers,
            points,
            joined,
            tensors.get("taught.centres", none.centres),
            tensors.get("taught.reach", none.reach),
        )


@dataclass(frozen=True)
class SameTypes:
    """Types that are one: those with the same name, and those whose sounds were all moved to one other type."""

    names: Mapping[int, str]
    joined: Mapping[int, int]

    def automatic(self, number: int) -> int:
        """Return the type of the sounds that are nearest to a type."""
        return self._first(self.joined.get(number, number))

    def stated(self, number: int) -> int:
        """Return the type of a sound that a person moved to a type."""
        return self._first(number) if self.is_alive(number) else self.automatic(number)

    def is_alive(self, number: int) -> bool:
        """Return whether sounds can be of this type, or of the one of the same name."""
        return number not in self.joined or number in self.joined.values()

    def listed(self, last: int) -> list[int]:
        """Return the numbers of the types from 1 to `last` that are not one with an earlier type."""
        return [number for number in range(1, last + 1) if self.stated(number) == number]

    def _first(self, number: int) -> int:
        name = self.names.get(number, "")
        same = [other for other, each in self.names.items() if name and each == name and self.is_alive(other)]
        return min(same, default=number)
