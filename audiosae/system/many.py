"""Sequences of many small items in little memory."""

from __future__ import annotations

import marshal
import zlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

if TYPE_CHECKING:
    from collections.abc import Callable

Item = TypeVar("Item")
_TOGETHER = 64  # items that are compressed together


class Made(Sequence[Item]):
    """A sequence whose items are made when they are asked for; it is compared, shown and pickled as a list of them.

    Parameters
    ----------
    make
        Function of a number that makes an item.
    numbers
        Number of each item.
    """

    def __init__(self, make: Callable[[int], Item], numbers: Sequence[int]) -> None:
        self._make, self._numbers = make, numbers

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, number: int) -> Item: ...
    @overload
    def __getitem__(self, number: slice) -> Made[Item]: ...
    def __getitem__(self, number: int | slice) -> Item | Made[Item]:
        if isinstance(number, slice):
            return Made(self._make, self._numbers[number])
        return self._make(self._numbers[number])

    def only(self, numbers: Sequence[int]) -> Made[Item]:
        """Return the items at some positions."""
        return Made(self.__getitem__, numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and [*self] == [*other]

    def __hash__(self) -> int:
        raise TypeError("a sequence that is compared as a list has no hash")

    def __repr__(self) -> str:
        return repr([*self])

    def __reduce__(self) -> tuple[Any, ...]:
        return list, ([*self],)


class Many(Made[Item]):
    """A sequence that keeps its items compressed: some 60 bytes for what takes a kilobyte as Python objects.

    Items are equal to those that were given, but other objects. To read them in order takes microseconds for each.

    Parameters
    ----------
    items
        First items; others are appended.
    plain, made
        Functions that convert an item to plain values (None, numbers, text, tuples, lists, dicts) and back; without
        them, the items are such values.
    """

    def __init__(
        self,
        items: Iterable[Item] = (),
        plain: Callable[[Item], Any] = lambda item: item,
        made: Callable[[Any], Item] = lambda values: values,
    ) -> None:
        super().__init__(self._item, range(0))
        self._plain, self._made = plain, made
        self._blocks: list[bytes] = []
        self._last: list[Any] = []  # not yet compressed
        self._open: tuple[int, list[Any]] = -1, []
        for item in items:
            self.append(item)

    def append(self, item: Item) -> None:
        """Append an item."""
        self._last.append(self._plain(item))
        self._numbers = range(len(self) + 1)
        if len(self._last) == _TOGETHER:
            self._blocks.append(zlib.compress(marshal.dumps(self._last), 1))
            self._last = []

    def _item(self, number: int) -> Item:
        block, place = divmod(number, _TOGETHER)
        if block == len(self._blocks):
            return self._made(self._last[place])
        found, items = self._open
        if found != block:
            items = marshal.loads(zlib.decompress(self._blocks[block]))  # noqa: S302 (own bytes)
            self._open = block, items
        return self._made(items[place])
