"""Schema of everything that is read from disk: a declaration of keys, kinds and ranges, and one check.

A schema is built from `Text`, `Number`, `Whole`, `Flag`, `Choice`, `Items`, `Object`, `Optional` and `Anything`, and
from `Tensor` for arrays. To read one more key, add it to the declaration. What does not fit raises `Mismatch`, from
which `reading_file` makes a one-line error.
"""

from __future__ import annotations

import json
import math
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from audiosae.errors import InputError
from audiosae.system.text import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

DIGEST = r"[0-9a-f]*"
_MOST_WHOLE = 2**53  # larger whole numbers are not exact in other programs
_DEEPEST = 64  # lists and objects within each other
_LONGEST_TEXT = 2**20  # characters
_SHOWN = 40  # characters of a value in an error message
_UNREADABLE = (ValueError, RecursionError, MemoryError)
_FLOATS = ("float32", "float64")


class Mismatch(ValueError):  # noqa: N818 (converted by `reading_file`)
    """Where data differ from their schema, as one line of text."""

    def __init__(self, where: str, wanted: str, found: str) -> None:
        super().__init__(f"{where or 'content'}: wanted {wanted}, found {found}")


class Absent(Mismatch):
    """A key that is missing, or is not an object although it must be one."""

    def __init__(self, where: str, found: str = "") -> None:
        ValueError.__init__(self, f"its JSON has no {where}{f': wanted an object, found {found}' if found else ''}")


class Schema(Protocol):
    """Declaration of a JSON value."""

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value does not fit; `where` names its place in the file."""


@dataclass(frozen=True)
class Text:
    """A text of whole Unicode characters, which matches `pattern` as a whole."""

    pattern: str = ""
    wanted: str = "a text"

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is not such a text."""
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not _is_unicode(value):
            raise Mismatch(where, self.wanted, shown(value))
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise Mismatch(where, self.wanted, shown(value))


@dataclass(frozen=True)
class Number:
    """A finite number from `least` to `most`, greater than `above`; NaN only if `nan`."""

    least: float = -math.inf
    most: float = math.inf
    above: float = -math.inf
    nan: bool = False

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is not such a number."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Mismatch(where, "a number", shown(value))
        if isinstance(value, float) and math.isnan(value) and self.nan:
            return
        if abs(value) > 1e300 or math.isnan(value):  # noqa: PLR2004 (a float; whole numbers of JSON have no limit)
            raise Mismatch(where, "a finite number", shown(value))
        if not (self.least <= value <= self.most and value > self.above):
            raise Mismatch(where, self._range(), shown(value))

    def _range(self) -> str:
        limits = (("at least", self.least), ("at most", self.most), ("above", self.above))
        return "a number " + " and ".join(f"{name} {limit:g}" for name, limit in limits if math.isfinite(limit))


@dataclass(frozen=True)
class Whole:
    """A whole number from `least` to `most`."""

    least: int = 0
    most: int = _MOST_WHOLE

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is not such a whole number."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise Mismatch(where, f"a whole number from {self.least} to {self.most}", shown(value))


@dataclass(frozen=True)
class Flag:
    """True or false."""

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is neither."""
        if not isinstance(value, bool):
            raise Mismatch(where, "true or false", shown(value))


@dataclass(frozen=True, init=False)
class Choice:
    """One of some texts."""

    texts: tuple[str, ...]

    def __init__(self, *texts: str) -> None:
        object.__setattr__(self, "texts", texts)

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is none of the texts."""
        if not isinstance(value, str) or value not in self.texts:
            raise Mismatch(where, " or ".join(self.texts), shown(value))


@dataclass(frozen=True)
class Optional:
    """Null, or a value that fits `schema`."""

    schema: Schema

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is neither."""
        if value is not None:
            self.schema.check(value, where)


@dataclass(frozen=True)
class Items:
    """A list of values that fit `schema`, of the given length if there is one."""

    schema: Schema
    length: int | None = None

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is not such a list."""
        if not isinstance(value, list) or self.length not in {None, len(value)}:
            raise Mismatch(where, "a list" if self.length is None else f"a list of {self.length}", shown(value))
        for number, item in enumerate(value):
            self.schema.check(item, f"{where}[{number}]")


@dataclass(frozen=True)
class Anything:
    """Any value of JSON with finite numbers and valid texts, nested at most 64 deep."""

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is nested too deeply or has a part that is not valid."""
        self._check(value, where, 0)

    def _check(self, value: object, where: str, depth: int) -> None:
        if depth > _DEEPEST:
            raise Mismatch(where[:_SHOWN], f"at most {_DEEPEST} levels", "more")
        if isinstance(value, dict):
            for key, item in value.items():
                Text().check(key, where)
                self._check(item, _joined(where, key), depth + 1)
        elif isinstance(value, list):
            for item in value:
                self._check(item, where, depth + 1)
        elif isinstance(value, str):
            Text().check(value, where)
        elif value is not None and not isinstance(value, bool):
            Number().check(value, where)


@dataclass(frozen=True)
class Scalar:
    """A text, a finite number, true, false or null."""

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is none of these."""
        if isinstance(value, list | dict):
            raise Mismatch(where, "one value", shown(value))
        Anything().check(value, where)


@dataclass(frozen=True)
class Object:
    """An object.

    Attributes
    ----------
    required, optional
        Schemas of the keys that must and that may be there.
    rest, keys
        Schema of the values, and of the names, of all other keys; without `rest` there may be no others.
    """

    required: Mapping[str, Schema] = field(default_factory=dict)
    optional: Mapping[str, Schema] = field(default_factory=dict)
    rest: Schema | None = field(default_factory=Anything)
    keys: Schema = field(default_factory=Text)

    def check(self, value: object, where: str = "") -> None:
        """Raise `Mismatch` if a value is not such an object."""
        if not isinstance(value, dict):
            raise Absent(where, shown(value)) if where else Mismatch("", "an object", shown(value))
        if missing := next((key for key in self.required if key not in value), ""):
            raise Absent(_joined(where, missing))
        known = {**self.required, **self.optional}
        for key, item in value.items():
            schema = known.get(key, self.rest)
            if schema is None:
                raise Mismatch(where, f"only the keys {', '.join(known)}", shown(key))
            if key not in known:
                self.keys.check(key, _joined(where, "key"))
            schema.check(item, _joined(where, key))


@dataclass(frozen=True)
class Tensor:
    """An array of finite floating-point numbers.

    Attributes
    ----------
    sizes
        Names of its sizes; the same name is the same size in all tensors of a file.
    least, above
        Limits of its values.
    optional
        Whether the tensor may be missing.
    """

    sizes: tuple[str, ...]
    least: float = -math.inf
    above: float = -math.inf
    optional: bool = False


def check_tensors(tensors: Mapping[str, NDArray[Any]], schema: Mapping[str, Tensor]) -> None:
    """Raise `Mismatch` if tensors lack one of the schema, or one has another kind, other sizes or other values."""
    found: dict[str, int] = {}
    for name, wanted in schema.items():
        if name not in tensors:
            if wanted.optional:
                continue
            raise Mismatch(name, "a tensor", "none")
        tensor = tensors[name]
        if tensor.dtype.name not in _FLOATS:
            raise Mismatch(name, " or ".join(_FLOATS), tensor.dtype.name)
        sizes = [found.get(size) for size in wanted.sizes]
        fits = tensor.ndim == len(sizes) and all(a in {None, b} for a, b in zip(sizes, tensor.shape, strict=True))
        if not fits or not tensor.size:
            text = " x ".join(str(size or name) for size, name in zip(sizes, wanted.sizes, strict=True))
            raise Mismatch(name, f"the shape {text}", " x ".join(map(str, tensor.shape)) or "one number")
        found |= dict(zip(wanted.sizes, tensor.shape, strict=True))
        if not (tensor >= wanted.least).all() or not (tensor > wanted.above).all():  # NaN is neither
            limit = f"at least {wanted.least:g}" if math.isfinite(wanted.least) else f"above {wanted.above:g}"
            raise Mismatch(name, f"numbers {limit}", f"{float(tensor.min()):g}")


def parse_json(content: bytes | str) -> Any:  # noqa: ANN401 (checked by a schema)
    """Return the value of a JSON text; raise `Mismatch` if it is not JSON or nested too deeply."""
    try:
        return json.loads(content)
    except _UNREADABLE as error:
        reason = " ".join(f"{error or type(error).__name__}".split())
        raise Mismatch("", "JSON", f"a fault ({reason[:80]})") from error


@contextmanager
def reading_file(path: Path, advice: str) -> Iterator[None]:
    """Convert a Mismatch to the InputError of a damaged file; `advice` says what to do."""
    try:
        yield
    except Mismatch as error:
        raise InputError(f"{path} is damaged: {error}; {advice}") from error


@dataclass(frozen=True)
class FactsFile:
    """Declaration of a JSON file that describes outputs, which marks them as written by audiosae.

    Attributes
    ----------
    marks
        Keys by which the file is recognised.
    schema
        Schema of the file.
    advice
        What to do if it is damaged.
    """

    marks: tuple[str, ...]
    schema: Object
    advice: str

    def read(self, path: Path) -> dict[str, Any] | None:
        """Return the facts; None if there is no such file, or another program wrote it.

        Raises
        ------
        InputError
            audiosae wrote the file, and it is damaged.
        """
        try:
            content = path.read_bytes() if path.is_file() else b""  # a pipe of that name would block
        except OSError:
            return None
        if not any(json.dumps(mark).encode() in content for mark in self.marks):
            return None
        with reading_file(path, self.advice):
            facts = parse_json(content)
            if not isinstance(facts, dict) or not facts.keys() >= {*self.marks}:
                return None
            self.schema.check(facts)
        return facts


def shown(value: object) -> str:
    """Return a value for an error message: short, in one line and without control characters."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, str):
        return f"'{one_line(value[:_SHOWN])}{'...' if len(value) > _SHOWN else ''}'"
    try:
        text = str(value)
    except ValueError:  # a whole number of thousands of digits
        return "a number that is too long"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def _joined(where: str, key: str) -> str:
    name = one_line(key[:_SHOWN])
    return f"{where}.{name}" if where else name


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
