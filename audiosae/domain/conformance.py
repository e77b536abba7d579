"""The conformance kit: whether a domain keeps the protocol's promises on real files."""

from __future__ import annotations

import json
import math
import tempfile
import warnings
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.domain.drawing import default_settings
from audiosae.domain.guard import plugin_call
from audiosae.domain.options import make_domain, options_of, resolved
from audiosae.domain.protocol import Domain, Excerpt, Probe, Span
from audiosae.domain.registry import fault_of
from audiosae.errors import AudiosaeError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray


def check_domain(domain: Domain, files: Sequence[Path]) -> None:
    """Check a domain against the protocol; call it from a plugin's own tests.

    What ``defaults`` may name is checked when the domain is used: ``audiosae domains`` lists a wrong one as broken.

    Parameters
    ----------
    domain
        With options that leave at least one window in every file.
    files
        Good files of its kind, at least one; nothing is written beside them.

    Raises
    ------
    AssertionError
        With what was promised and what was found.
    """
    _promise(len(files) > 0, "check_domain wants at least one good file, found none")
    try:
        _check_class(type(domain))
        domain = resolved(domain, files)
        _check_options(domain)
        for file in files:
            field = _check_field(domain, file)
            _check_places(domain, file, field)
        _check_atom(domain)
        _check_report(domain)
        _check_broken(domain)
    except AudiosaeError as error:
        raise AssertionError(str(error)) from error


def _ask(domain: Domain, method: str, *arguments: object, **named: object) -> Any:  # noqa: ANN401
    """Call a method; what it raises without meaning to names the domain and the method."""
    with plugin_call(domain, method):
        return getattr(domain, method)(*arguments, **named)


def _promise(kept: bool, text: str) -> None:  # noqa: FBT001
    if not kept:
        raise AssertionError(text)


def _check_class(cls: type[Domain]) -> None:
    fault = fault_of(cls, getattr(cls, "name", ""))
    _promise(not fault, f"{cls.__name__} {fault}")
    plain = all(isinstance(value, bool | int | float | str) for value in cls.defaults.values())
    _promise(plain, f"defaults must be numbers, texts and truth values, found {cls.defaults}")
    lower = isinstance(cls.suffixes, tuple) and all(s.startswith(".") and s == s.lower() for s in cls.suffixes)
    _promise(
        bool(cls.suffixes) and lower,
        f'suffixes must be lower-case with a dot, such as (".csv",), found {cls.suffixes!r}',
    )
    counted = cls.unit == Domain.unit or cls.span is not Domain.span
    _promise(counted, f"unit {cls.unit!r} wants a span() of its own: the inherited one counts rows")


def _check_options(domain: Domain) -> None:
    cls = type(domain)
    again = make_domain(cls, json.loads(json.dumps(options_of(domain))))
    _promise(again == domain, f"options do not survive JSON: {domain} became {again}")
    written = make_domain(cls, {key: str(value) for key, value in options_of(domain).items()})
    _promise(written == domain, f"options do not survive --set: {domain} became {written}")
    shapes = f"window {domain.window}, stride {domain.stride}"
    _promise(min(*domain.window, *domain.stride) >= 1, f"window and stride must be at least 1, found {shapes}")
    settled = _ask(domain, "resolve", [])
    _promise(
        settled == domain, f"a resolved domain must stay as it is when it is resolved again: {domain} became {settled}"
    )


def _check_field(domain: Domain, file: Path) -> NDArray[np.float32]:
    blocks, again = _read(domain, file), _read(domain, file)
    _promise(len(blocks) > 0, f"{file.name}: field must yield at least one block, found none")
    tail = blocks[0].shape[1:]
    for block in blocks:
        _promise(block.dtype == np.float32, f"{file.name}: a field must be float32, not {block.dtype}")
        _promise(
            block.ndim == len(domain.window),
            f"{file.name}: block {block.shape} for windows {domain.window}: axes differ",
        )
        _promise(
            block.shape[1:] == tail, f"{file.name}: blocks must agree after axis 0, found {tail} and {block.shape[1:]}"
        )
    field = np.concatenate(blocks)
    _promise_finite(field, f"{file.name}: the field must be finite")
    second = np.concatenate(again)
    same = field.tobytes() == second.tobytes()
    _promise(
        same, f"{file.name}: a second reading gave another field, {second.shape} after {field.shape} or other values"
    )
    fits = field.shape[0] >= domain.window[0] and field.shape[1:2] >= domain.window[1:2]
    _promise(fits, f"{file.name}: field {field.shape} holds no window {domain.window}")
    _promise(
        field.shape[2:] == domain.window[2:],
        f"{file.name}: axes after the second must span the field, found windows {domain.window} in {field.shape}",
    )
    _check_picture(_ask(domain, "scene", field), f"{file.name}: a scene must be (rows, columns[, 3]) or None")
    probe = _ask(domain, "probe", file)
    known = probe is None or (isinstance(probe, Probe) and probe.rows > 0)
    _promise(known, f"{file.name}: probe must estimate the rows or be None, not {probe}")
    if probe is not None:
        json.dumps(probe.facts)
    return _check_finish(domain, file, field)


def _read(domain: Domain, file: Path) -> list[NDArray[np.float32]]:
    with plugin_call(domain, "field"):
        found = domain.field(file)
        _promise(not isinstance(found, np.ndarray), f"{file.name}: field must yield blocks, found an array: yield it")
        blocks = list(found)
    arrays = all(isinstance(block, np.ndarray) and block.ndim > 0 for block in blocks)
    _promise(arrays, f"{file.name}: field must yield arrays, found {[type(block).__name__ for block in blocks[:3]]}")
    return blocks


def _promise_finite(values: NDArray[Any], text: str) -> None:
    wrong = np.argwhere(~np.isfinite(values))
    _promise(not len(wrong), f"{text}, found {len(wrong)} NaN or infinite values, the first at {wrong[:1].tolist()}")


def _check_picture(picture: NDArray[Any] | None, text: str, *, wanted: bool = False) -> None:
    shape = None if picture is None else np.shape(picture)
    drawn = not wanted if shape is None else len(shape) == 2 or (len(shape) == 3 and shape[2] == 3)  # noqa: PLR2004
    _promise(drawn, f"{text}, not {shape}")


def _check_finish(domain: Domain, file: Path, field: NDArray[np.float32]) -> NDArray[np.float32]:
    shape, ranges = field.shape, _ask(domain, "finish", field)
    wanted = (
        f"{file.name}: finish must return ascending row ranges within {shape[0]} that share no window, not {ranges}"
    )
    _promise(isinstance(ranges, list | tuple), wanted)
    inside = all(0 <= start <= stop <= shape[0] for start, stop in ranges)
    apart = all(a[1] - b[0] < domain.window[0] and a[1] < b[1] for a, b in pairwise(ranges))
    _promise(inside and apart, wanted)
    _promise_finite(field, f"{file.name}: the field must be finite after finish")
    return field


def _check_places(domain: Domain, file: Path, field: NDArray[np.float32]) -> None:
    sizes = zip(field.shape, domain.window, domain.stride, strict=True)
    last = tuple((size - width) // step * step for size, width, step in sizes)
    axes = 1 + (last[1:2] > (0,))
    for start in (tuple(0 for _ in last), last):
        span = _ask(domain, "span", file, start)
        _promise(
            isinstance(span, Span) and len(span.start) == len(span.end), f"{file.name}: wanted a Span, found {span}"
        )
        ordered = all(a < b for a, b in zip(span.start, span.end, strict=True))
        _promise(ordered, f"{file.name}: a span must end after it starts: {span}")
        many = (
            f"{file.name}: windows {domain.window} slide along {axes} axes of {field.shape}; a span must have as many"
        )
        _promise(len(span.start) >= axes, f"{many} numbers, found {span}")
        _check_excerpt(domain, file, span)


def _check_excerpt(domain: Domain, file: Path, span: Span) -> None:
    excerpt = _ask(domain, "excerpt", file, span)
    whole = isinstance(excerpt, Excerpt) and excerpt.data.size > 0 and bool(np.isfinite(excerpt.data).all())
    found = f"{np.shape(excerpt.data)} of {excerpt.kind}" if isinstance(excerpt, Excerpt) else repr(excerpt)
    _promise(whole, f"{file.name}: the excerpt of {span} is empty or not finite, found {found}")
    _promise(
        excerpt.kind != "sound" or excerpt.rate > 0, f"{file.name}: a sound must have a rate, found {excerpt.rate}"
    )
    told = f"{file.name}: a domain of kind {domain.kind} gave an excerpt of kind {excerpt.kind}"
    _promise((excerpt.kind == "sound") == (domain.kind == "sound"), told)


@default_settings()
def _check_atom(domain: Domain) -> None:
    from matplotlib.figure import Figure

    atom = np.random.default_rng(0).normal(size=domain.window)
    _check_picture(_ask(domain, "tile", atom), "a tile must be (rows, columns[, 3])", wanted=True)
    ax = Figure().subplots()
    _ask(domain, "draw", atom, ax, limit=float(np.abs(atom).max()))
    _promise(ax.has_data(), "draw must put something on the axes, found nothing")
    centre = _ask(domain, "centre", atom)
    finite = centre is None or (isinstance(centre, int | float) and math.isfinite(centre))
    _promise(finite, f"centre must be a finite number or None, not {centre!r}")


def _check_report(domain: Domain) -> None:
    atom = np.random.default_rng(0).normal(size=domain.window)
    measures = _ask(domain, "measures", atom)
    plain = all(isinstance(key, str) and math.isfinite(value) for key, value in measures.items())
    _promise(plain, f"measures must be finite numbers with names, not {measures!r}")
    sound = _ask(domain, "synthesize", atom)
    heard = sound is None or (sound.kind == "sound" and sound.rate > 0 and bool(np.isfinite(sound.data).all()))
    _promise(heard, f"synthesize must return a sound with a rate, or None, found {sound!r}")


def _check_broken(domain: Domain) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("empty", b""), ("noise", bytes(range(256)) * 4)):
            path = Path(folder) / f"{name}{domain.suffixes[0]}"
            path.write_bytes(content)
            _ask(domain, "resolve", [path])  # must pass over what it cannot read
            _check_refusal(domain, name, path)


def _check_refusal(domain: Domain, name: str, path: Path) -> None:
    """Check that `field` refuses a broken file, with any error or by no rows, and that `probe` does not take it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a reader's remark on a broken file is no fault
        rows = _broken(lambda: sum(map(len, domain.field(path))))
        probe = _broken(lambda: domain.probe(path))
    wanted = f"a broken file ({name}) must raise InputError"
    _promise(not rows, f"{wanted} in field(), found {rows} rows")
    _promise(probe is None, f"{wanted} in probe(), found {probe}")


def _broken(read: Callable[[], Any]) -> Any:  # noqa: ANN401
    """Return what reading gives, None where it raises: what is no InputError costs the file, too."""
    try:
        return read()
    except InputError as error:
        _promise("\n" not in str(error) and str(error) != "", f"an error must be one line, found {str(error)!r}")
    except Exception:  # noqa: BLE001, S110
        pass
    return None
