"""Conformance check: whether a domain follows the plugin interface on real files."""

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

_IMAGE_AXES, _COLOUR_AXES, _COLOURS = 2, 3, 3


def check_domain(domain: Domain, files: Sequence[Path]) -> None:
    """Check that a domain follows the plugin interface; for use in the tests of a plugin.

    The keys of ``defaults`` are not checked here: they are checked when the domain is used, and ``audiosae domains``
    lists a domain with an unknown key as broken.

    Parameters
    ----------
    domain
        Its options must leave at least one window in every file.
    files
        Valid files of the domain, at least one. Nothing is written to their folders.

    Raises
    ------
    AssertionError
        The message states the requirement and what was found instead.
    """
    _require(files, "check_domain needs at least one good file, found none")
    try:
        _check_class(type(domain))
        domain = resolved(domain, files)
        _check_options(domain)
        for file in files:
            field = _check_field(domain, file)
            _check_spans(domain, file, field)
        _check_atom(domain)
        _check_broken_files(domain)
    except AudiosaeError as error:
        raise AssertionError(str(error)) from error


def _call(domain: Domain, method: str, *arguments: object, **named: object) -> Any:  # noqa: ANN401
    with plugin_call(domain, method):
        return getattr(domain, method)(*arguments, **named)


def _require(condition: object, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _check_class(cls: type[Domain]) -> None:
    fault = fault_of(cls, getattr(cls, "name", ""))
    _require(not fault, f"{cls.__name__} {fault}")
    _require(
        all(isinstance(value, bool | int | float | str) for value in cls.defaults.values()),
        f"defaults must be numbers, texts and truth values, found {cls.defaults}",
    )
    _require(
        cls.suffixes and isinstance(cls.suffixes, tuple) and all(s[:1] == "." and s == s.lower() for s in cls.suffixes),
        f'suffixes must be lower-case with a dot, such as (".csv",), found {cls.suffixes!r}',
    )
    _require(
        cls.unit == Domain.unit or cls.span is not Domain.span,
        f"unit {cls.unit!r} needs a span() of the domain: the inherited one counts rows",
    )


def _check_options(domain: Domain) -> None:
    options = options_of(domain)
    from_json = make_domain(type(domain), json.loads(json.dumps(options)))
    _require(from_json == domain, f"options must be the same after saving as JSON: {domain} became {from_json}")
    from_texts = make_domain(type(domain), {key: str(value) for key, value in options.items()})
    _require(from_texts == domain, f"options must be the same after --set: {domain} became {from_texts}")
    _require(
        min(*domain.window, *domain.stride) >= 1,
        f"window and stride must be at least 1, found window {domain.window}, stride {domain.stride}",
    )
    again = _call(domain, "resolve", [])
    _require(again == domain, f"resolve must not change a resolved domain: {domain} became {again}")


def _check_field(domain: Domain, file: Path) -> NDArray[np.float32]:
    blocks = _read(domain, file)
    _require(blocks, f"{file.name}: field must yield at least one block, found none")
    tail = blocks[0].shape[1:]
    for block in blocks:
        _require(block.dtype == np.float32, f"{file.name}: a field must be float32, not {block.dtype}")
        _require(
            block.ndim == len(domain.window),
            f"{file.name}: block {block.shape} for windows {domain.window}: different numbers of axes",
        )
        _require(
            block.shape[1:] == tail, f"{file.name}: blocks must agree after axis 0, found {tail} and {block.shape[1:]}"
        )
    field, again = np.concatenate(blocks), np.concatenate(_read(domain, file))
    _require_finite(field, f"{file.name}: the field must be finite")
    _require(
        field.tobytes() == again.tobytes(),
        f"{file.name}: a second reading gave another field: shapes {field.shape} and {again.shape}, or other values",
    )
    _require(
        field.shape[0] >= domain.window[0] and field.shape[1:2] >= domain.window[1:2],
        f"{file.name}: field {field.shape} is smaller than a window {domain.window}",
    )
    _require(
        field.shape[2:] == domain.window[2:],
        f"{file.name}: windows must span all axes after the second, found windows {domain.window} in {field.shape}",
    )
    scene = _call(domain, "scene", field)
    _require(scene is None or _is_image(scene), f"{file.name}: a scene must be (rows, columns[, 3]) or None")
    probe = _call(domain, "probe", file)
    if probe is not None:
        _require(
            isinstance(probe, Probe) and probe.rows > 0,
            f"{file.name}: probe must estimate the number of rows or return None, found {probe}",
        )
        json.dumps(probe.facts)
    _check_finish(domain, file, field)
    return field


def _read(domain: Domain, file: Path) -> list[NDArray[np.float32]]:
    with plugin_call(domain, "field"):
        blocks = domain.field(file)
        _require(not isinstance(blocks, np.ndarray), f"{file.name}: field must yield blocks, found an array: yield it")
        blocks = list(blocks)
    _require(
        all(isinstance(block, np.ndarray) and block.ndim > 0 for block in blocks),
        f"{file.name}: field must yield arrays, found {[type(block).__name__ for block in blocks[:3]]}",
    )
    return blocks


def _require_finite(values: NDArray[Any], message: str) -> None:
    wrong = np.argwhere(~np.isfinite(values))
    _require(not len(wrong), f"{message}, found {len(wrong)} NaN or infinite values, the first at {wrong[:1].tolist()}")


def _is_image(values: NDArray[Any]) -> bool:
    shape = np.shape(values)
    return len(shape) == _IMAGE_AXES or (len(shape) == _COLOUR_AXES and shape[-1] == _COLOURS)


def _check_finish(domain: Domain, file: Path, field: NDArray[np.float32]) -> None:
    blank = _call(domain, "blank", field)
    _require(
        blank is None or (isinstance(blank, np.ndarray) and blank.dtype == bool and blank.shape == field.shape[:1]),
        f"{file.name}: blank must return None or one truth value per row of {field.shape}, found {blank!r}",
    )
    rows, ranges = len(field), _call(domain, "finish", field)
    _require(
        isinstance(ranges, list | tuple)
        and all(0 <= start <= stop <= rows for start, stop in ranges)
        and all(a[1] - b[0] < domain.window[0] and a[1] < b[1] for a, b in pairwise(ranges)),
        f"{file.name}: finish must return ascending row ranges within {rows} that share no window, found {ranges}",
    )
    _require_finite(field, f"{file.name}: the field must be finite after finish")
    loud = _call(domain, "stands_out", field)
    _require(
        loud is None or (isinstance(loud, np.ndarray) and loud.dtype == bool and loud.shape == field.shape[:1]),
        f"{file.name}: stands_out must return None or one truth value per row of {field.shape}, found {loud!r}",
    )


def _check_spans(domain: Domain, file: Path, field: NDArray[np.float32]) -> None:
    last = tuple((np.subtract(field.shape, domain.window) // domain.stride * domain.stride).tolist())
    axes = 1 + (last[1:2] > (0,))
    for start in ((0,) * len(last), last):
        span = _call(domain, "span", file, start)
        _require(
            isinstance(span, Span) and len(span.start) == len(span.end), f"{file.name}: wanted a Span, found {span}"
        )
        _require(
            all(a < b for a, b in zip(span.start, span.end, strict=True)),
            f"{file.name}: a span must end after it starts: {span}",
        )
        _require(
            len(span.start) >= axes,
            f"{file.name}: windows {domain.window} slide along {axes} axes of {field.shape}; a span must have as many "
            f"numbers, found {span}",
        )
        excerpt = _call(domain, "excerpt", file, span)
        _require(isinstance(excerpt, Excerpt), f"{file.name}: wanted an Excerpt of {span}, found {excerpt!r}")
        _require(
            excerpt.data.size and np.isfinite(excerpt.data).all(),
            f"{file.name}: the excerpt of {span} is empty or not finite, found {np.shape(excerpt.data)}",
        )
        _require(
            excerpt.kind != "sound" or excerpt.rate > 0, f"{file.name}: a sound must have a rate, found {excerpt.rate}"
        )
        _require(
            (excerpt.kind == "sound") == (domain.kind == "sound"),
            f"{file.name}: a domain of kind {domain.kind} gave an excerpt of kind {excerpt.kind}",
        )


@default_settings()
def _check_atom(domain: Domain) -> None:
    from matplotlib.figure import Figure

    atom, ax = np.random.default_rng(0).normal(size=domain.window), Figure().subplots()
    tile = _call(domain, "tile", atom)
    _require(_is_image(tile), f"a tile must be (rows, columns[, 3]), found {np.shape(tile)}")
    _call(domain, "draw", atom, ax, limit=float(np.abs(atom).max()))
    _require(ax.has_data(), "draw must add something to the axes, found nothing")
    centre = _call(domain, "centre", atom)
    _require(
        centre is None or (isinstance(centre, int | float) and math.isfinite(centre)),
        f"centre must be a finite number or None, found {centre!r}",
    )
    measures = _call(domain, "measures", atom)
    _require(
        all(isinstance(key, str) and math.isfinite(value) for key, value in measures.items()),
        f"measures must be finite numbers with names, found {measures!r}",
    )
    sound = _call(domain, "synthesize", atom)
    _require(
        sound is None or (sound.kind == "sound" and sound.rate > 0 and np.isfinite(sound.data).all()),
        f"synthesize must return a sound with a rate, or None, found {sound!r}",
    )


def _check_broken_files(domain: Domain) -> None:
    """Check that `resolve` skips broken files, and that `field` and `probe` raise an error or give no result."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("empty", b""), ("noise", bytes(range(256)) * 4)):
            path = Path(folder) / f"{name}{domain.suffixes[0]}"
            path.write_bytes(content)
            _call(domain, "resolve", [path])
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a reader may warn of a broken file
                rows = _result_or_none(lambda path: sum(map(len, domain.field(path))), path)
                probe = _result_or_none(domain.probe, path)
            _require(not rows, f"a broken file ({name}) must raise InputError in field(), found {rows} rows")
            _require(probe is None, f"a broken file ({name}) must raise InputError in probe(), found {probe}")


def _result_or_none(read: Callable[[Path], object], path: Path) -> object:
    try:
        return read(path)
    except InputError as error:
        _require("\n" not in str(error) and str(error), f"an error must be one line, found {str(error)!r}")
    except Exception:  # noqa: BLE001, S110 (the file is skipped too)
        pass
    return None
