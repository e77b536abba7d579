"""The conformance kit: whether a domain keeps the protocol's promises on real files."""

from __future__ import annotations

import json
import math
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.domain.drawing import default_settings
from audiosae.domain.guard import asking
from audiosae.domain.options import make_domain, options_of, resolved
from audiosae.domain.protocol import Clip, Probe, Span
from audiosae.domain.registry import fault_of
from audiosae.errors import AudiosaeError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.domain.protocol import Domain


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
    _promise(len(files) > 0, "check_domain wants at least one good file")
    try:
        _check_class(type(domain))
        domain = resolved(domain, files)
        _check_options(domain)
        for file in files:
            with asking(domain, f"handling of {file.name}"):
                field = _check_field(domain, file)
                _check_places(domain, file, field)
        with asking(domain, "tile, draw or centre"):
            _check_atom(domain)
        with asking(domain, "measures or synthesize"):
            _check_report(domain)
        _check_broken(domain)
    except AudiosaeError as error:
        raise AssertionError(str(error)) from error


def _promise(kept: bool, text: str) -> None:  # noqa: FBT001
    if not kept:
        raise AssertionError(text)


def _check_class(cls: type[Domain]) -> None:
    fault = fault_of(cls, cls.name)
    _promise(not fault, f"{cls.__name__} {fault}")
    plain = all(isinstance(value, bool | int | float | str) for value in cls.defaults.values())
    _promise(plain, f"defaults must be numbers, texts and truth values: {cls.defaults}")


def _check_options(domain: Domain) -> None:
    cls = type(domain)
    again = make_domain(cls, json.loads(json.dumps(options_of(domain))))
    _promise(again == domain, f"options do not survive JSON: {domain} became {again}")
    written = make_domain(cls, {key: str(value) for key, value in options_of(domain).items()})
    _promise(written == domain, f"options do not survive --set: {domain} became {written}")
    shapes = f"window {domain.window}, stride {domain.stride}"
    _promise(min(*domain.window, *domain.stride) >= 1, f"window and stride must be at least 1: {shapes}")
    _promise(domain.resolve([]) == domain, "a resolved domain must stay as it is when it is resolved again")
    lower = all(s.startswith(".") and s == s.lower() for s in cls.suffixes)
    _promise(bool(cls.suffixes) and lower, f"suffixes must be lower-case with a dot: {cls.suffixes}")
    try:
        make_domain(cls, {"no_such_option": 1})
    except InputError:
        return
    _promise(False, "an unknown option must raise InputError")  # noqa: FBT003


def _check_field(domain: Domain, file: Path) -> NDArray[np.float32]:
    blocks = list(domain.field(file))
    again = list(domain.field(file))
    for block in blocks:
        _promise(block.dtype == np.float32, f"{file.name}: a field must be float32, not {block.dtype}")
        _promise(block.ndim == len(domain.window), f"{file.name}: block {block.shape} for windows {domain.window}")
        _promise(bool(np.isfinite(block).all()), f"{file.name}: the field must be finite")
    field = np.concatenate(blocks)
    _promise(field.tobytes() == np.concatenate(again).tobytes(), f"{file.name}: a second reading gave another field")
    fits = field.shape[0] >= domain.window[0] and field.shape[1:2] >= domain.window[1:2]
    _promise(fits, f"{file.name}: field {field.shape} holds no window {domain.window}")
    _promise(field.shape[2:] == domain.window[2:], f"{file.name}: axes after the second must span the field")
    scene = domain.scene(field)
    drawn = scene is None or scene.ndim == 2 or scene.shape[2:] == (3,)  # noqa: PLR2004
    _promise(drawn, f"{file.name}: a scene must be (rows, columns[, 3]) or None")
    probe = domain.probe(file)
    _promise(isinstance(probe, Probe) and probe.rows > 0, f"{file.name}: probe must estimate the rows, not {probe}")
    json.dumps(probe.facts)
    return _check_finish(domain, file, field)


def _check_finish(domain: Domain, file: Path, field: NDArray[np.float32]) -> NDArray[np.float32]:
    shape, ranges = field.shape, domain.finish(field)
    inside = all(0 <= start <= stop <= shape[0] for start, stop in ranges)
    apart = all(a[1] - b[0] < domain.window[0] and a[1] < b[1] for a, b in pairwise(ranges))
    _promise(
        inside and apart,
        f"{file.name}: finish must return ascending row ranges within {shape[0]} that share no window, not {ranges}",
    )
    _promise(bool(np.isfinite(field).all()), f"{file.name}: the field must be finite after finish")
    return field


def _check_places(domain: Domain, file: Path, field: NDArray[np.float32]) -> None:
    sizes = zip(field.shape, domain.window, domain.stride, strict=True)
    last = tuple((size - width) // step * step for size, width, step in sizes)
    for start in (tuple(0 for _ in last), last):
        span = domain.span(file, start)
        _promise(isinstance(span, Span) and len(span.start) == len(span.end), f"{file.name}: span {span}")
        ordered = all(a < b for a, b in zip(span.start, span.end, strict=True))
        _promise(ordered, f"{file.name}: a span must end after it starts: {span}")
        clip = domain.excerpt(file, span)
        whole = isinstance(clip, Clip) and clip.data.size > 0 and bool(np.isfinite(clip.data).all())
        _promise(whole, f"{file.name}: the excerpt of {span} is empty or not finite")
        _promise(clip.kind != "sound" or clip.rate > 0, f"{file.name}: a sound must have a rate")
        told = f"{file.name}: a domain of kind {domain.kind} gave an excerpt of kind {clip.kind}"
        _promise((clip.kind == "sound") == (domain.kind == "sound"), told)


@default_settings()
def _check_atom(domain: Domain) -> None:
    from matplotlib.figure import Figure

    atom = np.random.default_rng(0).normal(size=domain.window)
    tile = domain.tile(atom)
    _promise(tile.ndim == 2 or tile.shape[2:] == (3,), f"a tile must be (rows, columns[, 3]), not {tile.shape}")  # noqa: PLR2004
    ax = Figure().subplots()
    domain.draw(atom, ax, limit=float(np.abs(atom).max()))
    _promise(ax.has_data(), "draw must put something on the axes")
    centre = domain.centre(atom)
    finite = centre is None or (isinstance(centre, int | float) and math.isfinite(centre))
    _promise(finite, f"centre must be a finite number or None, not {centre!r}")


def _check_report(domain: Domain) -> None:
    atom = np.random.default_rng(0).normal(size=domain.window)
    measures = domain.measures(atom)
    plain = all(isinstance(key, str) and math.isfinite(value) for key, value in measures.items())
    _promise(plain, f"measures must be finite numbers with names, not {measures!r}")
    sound = domain.synthesize(atom)
    heard = sound is None or (sound.kind == "sound" and sound.rate > 0 and bool(np.isfinite(sound.data).all()))
    _promise(heard, "synthesize must return a sound with a rate, or None")


def _check_broken(domain: Domain) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in (("empty", b""), ("noise", bytes(range(256)) * 4)):
            path = Path(folder) / f"{name}{domain.suffixes[0]}"
            path.write_bytes(content)
            domain.resolve([path])  # must pass over what it cannot read
            _check_refusal(name, lambda path: list(domain.field(path)), path)
            _check_refusal(name, domain.probe, path)


def _check_refusal(name: str, read: Callable[[Path], object], path: Path) -> None:
    try:
        read(path)
    except InputError as error:
        _promise("\n" not in str(error) and str(error) != "", f"an error must be one line: {error!r}")
    else:
        _promise(False, f"a broken file ({name}) must raise InputError")  # noqa: FBT003
