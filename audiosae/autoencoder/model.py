"""A trained model (domain, whitener, parameters, provenance) and its file."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.consecutive import BlockTransform
from audiosae.autoencoder.encoding import for_encoding
from audiosae.autoencoder.model_parts import check_sizes, params_of, whitener_of
from audiosae.autoencoder.model_schema import FACTS, FORMAT, TENSORS
from audiosae.autoencoder.sae import Params, encode
from audiosae.autoencoder.tensors import read_tensors, tensor_bytes
from audiosae.backends import Backend
from audiosae.backends.cpu import TANH, Array
from audiosae.domain import check_window, domain_from_json, domain_to_json
from audiosae.errors import InputError
from audiosae.system.files import check_replaceable, file_digest, write_file
from audiosae.system.schema import check_tensors, reading_file, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.domain import Domain, Json

FILE = "model.safetensors"
ALWAYS_ON = 0.5  # a unit with a higher mean activity is reported as always on
DEAD_SHARE = 0.1  # a unit with a lower mean activity, relative to rho, is dead
_ADVICE = "copy it again from its source, or train again"


@dataclass(frozen=True)
class Model:
    """A trained model. A notebook displays its description and its atoms.

    Attributes
    ----------
    domain
        Decodes sources into fields (float32 arrays); windows of a field have the shape `domain.window`.
    whitener
        Maps windows to inputs of the autoencoder, and back.
    params
        Weights and biases of the autoencoder.
    rho_hat
        Mean activity of each unit over the training windows, (hidden,).
    facts
        Provenance: options, seed, versions, sources, quality, last row of the training history.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> model.atoms().shape == (6, *model.domain.window)
    True
    >>> audiosae.export(model, sounds).features.shape
    (4, 24)
    >>> model.save("copy.safetensors")
    >>> audiosae.load_model("copy.safetensors").digest == model.digest
    True
    """

    domain: Domain
    whitener: Whitener
    params: Params
    rho_hat: NDArray[np.float64]
    facts: dict[str, Any]
    _file_digest: str = field(default="", repr=False)
    _file: str = field(default="", repr=False, compare=False)

    @classmethod
    def create(
        cls, domain: Domain, whitener: Whitener, params: Params, rho_hat: NDArray[np.float64], facts: dict[str, Any]
    ) -> Self:
        """Return a new model, with the same facts that it will have after being saved and loaded."""
        facts = json.loads(json.dumps(facts | _own_facts(domain, whitener, params), sort_keys=True))
        return cls(domain, whitener, params, rho_hat, facts)

    @property
    def digest(self) -> str:
        """BLAKE2b digest of the model's file, stored in tables and sound types to identify their model."""
        return self._file_digest or blake2b(self.to_bytes(), digest_size=16).hexdigest()

    @property
    def file(self) -> Path | None:
        """The file that the model was read from; None if it was not read."""
        return Path(self._file) if self._file else None

    def atoms(self) -> NDArray[np.float32]:
        """Return the units' atoms, (hidden, *window): the input of norm 1 that excites a unit most, unwhitened."""
        return self._pictures(self.whitener.undo(Backend().unit_rows(self.params.W1)))

    def filters(self) -> NDArray[np.float32]:
        """Return the units' filters, (hidden, *window): the window of norm 1 that excites a unit most."""
        return self._pictures(Backend().unit_rows(self.whitener.filters(Backend().unit_rows(self.params.W1))))

    def encode(self, windows: NDArray[np.floating], backend: Backend | None = None) -> NDArray[np.floating]:
        """Return the codes of windows of the field.

        Parameters
        ----------
        windows
            (count, *window) or (count, width), values of the field.
        backend
            Backend that computes the codes; None for NumPy.

        Returns
        -------
        array of shape (count, hidden)

        Raises
        ------
        InputError
            The windows have a different shape.
        """
        flat = np.asarray(windows)
        if flat.shape[1:] not in (tuple(self.domain.window), (self.whitener.width,)):
            shape = ", ".join(map(str, self.domain.window))
            raise InputError(f"encode: wanted windows of shape (count, {shape}), found {flat.shape}")
        backend = backend or Backend()
        return backend.to_host(self.codes(backend.asarray(flat.reshape(len(flat), -1)), backend))

    def codes(self, windows: Array, backend: Backend, then: Callable[[Array], None] = lambda _: None) -> Array:
        """Return the codes (count, hidden) of windows (count, width), both arrays of the backend.

        `then` is called with parts of the codes, to change them in place while they are in a core's cache.
        """
        whitener, params = backend.once(
            self, lambda: (self._encoder[0].moved(backend.asarray), self._encoder[1].on(backend))
        )
        return encode(backend, params, windows.astype(params.flat.dtype, copy=False), whitener.apply, then)

    def codes_of_runs(
        self, runs: Sequence[NDArray[Any]], backend: Backend, then: Callable[[Array], None] = lambda _: None
    ) -> list[NDArray[Any]]:
        """Return the codes (count, hidden) of runs of windows (count, width) in host memory; for `then`, see `codes`.

        Windows that overlap in memory (`sliding_window_view`) are encoded by `BlockTransform` where that saves time.
        """
        blocks = self._block_transform if backend.xp is np else None
        if blocks is not None and (fields := blocks.fields(runs)) is not None:
            return blocks.codes(backend, fields, then)
        windows = runs[0] if len(runs) == 1 else np.concatenate(runs)
        codes = backend.to_host(self.codes(windows if backend.xp is np else backend.asarray(windows), backend, then))
        return np.split(codes, np.cumsum([len(run) for run in runs])[:-1])

    def activity(self, codes: Array, *, in_place: bool = False) -> Array:
        """Return activations scaled to [0, 1]: the codes of sigmoid units, (a + 1) / 2 of tanh units."""
        if self.params.activation != TANH:
            return codes
        activity = codes if in_place else codes.copy()
        activity += 1
        activity /= 2
        return activity

    def with_facts(self, **facts: Json) -> Model:
        """Return the model with further facts."""
        return type(self)(self.domain, self.whitener, self.params, self.rho_hat, self.facts | facts)

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Mask of the units that are hardly ever active, (hidden,)."""
        return np.asarray(self.rho_hat < DEAD_SHARE * float(self.facts["options"]["rho"]))

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes without matrices that the receiving process can compute sooner than receive."""
        return {name: value for name, value in vars(self).items() if name not in ("_encoder", "_block_transform")}

    @cached_property
    def _encoder(self) -> tuple[Whitener, Params]:
        return for_encoding(self.whitener, self.params)

    @cached_property
    def _block_transform(self) -> BlockTransform | None:
        return BlockTransform.of(self.whitener, self.params, self.domain.window, self.domain.stride[0])

    def _pictures(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        return rows.reshape(len(rows), *self.domain.window).astype(np.float32, copy=False)

    @property
    def unit_crops(self) -> list[tuple[slice, ...]]:
        """The part of a window that each unit sees, a slice per axis; [] if all units see whole windows."""
        parts = zip(self.domain.crops, self.unit_counts, strict=True) if self.whitener.parts else ()
        return [crop for crop, count in parts for _ in range(count)]

    @property
    def unit_counts(self) -> list[int]:
        """Number of units of each length of windows."""
        return divided(self.params.hidden, len(self.whitener.parts) or 1)

    def parts(self) -> list[Model]:
        """Return a model for each length of windows, with its own units, in order; the model itself if there is one.

        A unit of a part has the same code as in this model, and also for windows nearer to the ends of a source.
        """
        w, values = self.whitener, np.arange(self.whitener.width).reshape(self.domain.window)
        if not w.parts:
            return [self]
        made, unit, component = [], 0, 0
        for number, (count, size) in enumerate(zip(self.unit_counts, w.parts, strict=True)):
            units, inputs = slice(unit, unit := unit + count), slice(component, component := component + size)
            chosen = values[self.domain.crops[number]].ravel()
            whitener = replace(
                w,
                mean=w.mean[chosen],
                forward=np.ascontiguousarray(np.asarray(w.forward)[chosen, inputs]),
                backward=np.ascontiguousarray(np.asarray(w.backward)[inputs, chosen]),
                spread=None if w.spread is None else w.spread[inputs],
                parts=(),
            )
            p = self.params
            weights = p.W1[units, inputs], p.W2[units, inputs], p.b1[units], p.b2[inputs]
            flat = np.concatenate([part.ravel() for part in weights])
            params = replace(p, flat=flat, hidden=count, width=size)
            domain = self.domain.of_crop(number)
            made.append(Model.create(domain, whitener, params, self.rho_hat[units], self.facts))
        return made

    def save(self, path: os.PathLike[str] | str) -> None:
        """Write the model to a file, which `load_model` and all commands can read.

        Parameters
        ----------
        path
            Path of the file, such as ``birds.safetensors``. An existing model is replaced.

        Raises
        ------
        InputError
            The file cannot be written, or the path is a folder or a file that is not a model.
        """
        path = Path(path)
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give a file in it, such as {path / FILE}")
        if path.exists():
            check_replaceable(path, [], own=_is_model(path))
        write_file(path, self.to_bytes())

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.domain.window))
        return f"<Model: {self.params.hidden} units of {self.domain.name}, windows of {size}>"

    def _repr_html_(self) -> str:
        from audiosae.views.atoms import notebook_html  # the only import from a higher layer: notebooks ask the object

        return notebook_html(self)

    def to_bytes(self) -> bytes:
        """Return the bytes of the model's file."""
        w, p = self.whitener, self.params
        tensors = {
            "encoder.weight": p.W1,
            "encoder.bias": p.b1,
            "decoder.weight": p.W2,
            "decoder.bias": p.b2,
            "rho_hat": self.rho_hat,
            "whiten.mean": w.mean,
            "whiten.forward": w.forward,
            "whiten.backward": w.backward,
            "whiten.spread": w.spread,
        }
        given = {name: tensor for name, tensor in tensors.items() if tensor is not None}
        return tensor_bytes(given, self.facts | _own_facts(self.domain, w, p))


def divided(units: int, parts: int) -> list[int]:
    """Return how many of the units each part of the windows has: equally many, the last ones one more."""
    return [units * (part + 1) // parts - units * part // parts for part in range(parts)]


def _own_facts(domain: Domain, w: Whitener, p: Params) -> dict[str, Json]:
    flags: dict[str, Json] = {"contrast": w.contrast, "remove_mean": w.remove_mean, "squash": w.squash}
    return {
        "format": FORMAT,
        "domain": domain_to_json(domain),
        "whitening": {
            "kind": w.kind,
            "scale": w.scale,
            "notes": dict(w.notes),
            **flags,
            **({"parts": [*w.parts]} if w.parts else {}),
        },
        "activation": p.activation,
        "decoder": p.decoder,
    }


def _is_model(path: Path) -> bool:
    try:
        return read_tensors(path).facts.get("format") == FORMAT
    except InputError:
        return False


def load_model(path: os.PathLike[str] | str) -> Model:
    """Read a model.

    Parameters
    ----------
    path
        A ``model.safetensors``, or the run folder that contains one.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        There is no model, or it is damaged, inconsistent or in a newer format.
    PluginError
        The model's domain is not installed.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import run
    >>> model = audiosae.load_model(run)
    >>> model.atoms().shape  # units, frames, bands
    (6, 16, 40)
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
        if not path.exists():
            raise InputError(f"no {FILE} in {path.parent}; wanted a run folder of audiosae train, or the file itself")
    if not path.exists():
        raise InputError(f"no such file or folder: {path}; wanted a run folder of audiosae train, or its {FILE}")
    tensors, facts = read_tensors(path)
    if facts.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {shown(facts.get('format'))}, this version of audiosae reads {FORMAT}; install the "
            "version that wrote it, or train again"
        )
    with reading_file(path, _ADVICE):
        FACTS.check(facts)
        check_tensors(tensors, TENSORS)
        domain = domain_from_json(facts["domain"])
        check_window(domain)
        whitener, params = whitener_of(tensors, facts["whitening"]), params_of(tensors, facts)
        check_sizes(domain, whitener, params)
    rho_hat = tensors["rho_hat"].astype(np.float64)
    return Model(domain, whitener, params, rho_hat, facts, file_digest(path), str(path.absolute()))


def as_model(model: Model | os.PathLike[str] | str) -> Model:
    """Return a model, given as an object, as a run folder or as a file."""
    if not isinstance(model, Model | str | os.PathLike):
        raise InputError(f"model {model!r}: wanted a Model (run.model of a run), a run folder or a model file")
    return model if isinstance(model, Model) else load_model(model)


def path_of(model: Model | os.PathLike[str] | str) -> Path | None:
    """Return the path of a model given as a run folder or as a file; None for an object."""
    return None if isinstance(model, Model) else Path(model)
