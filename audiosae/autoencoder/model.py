"""A trained model: domain, whitener, parameters and provenance, in one file."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.sae import Params, encode
from audiosae.autoencoder.tensors import read_tensors, tensor_bytes
from audiosae.autoencoder.whitening import Whitener
from audiosae.backends import Backend
from audiosae.backends.cpu import LINEAR, SIGMOID, TANH
from audiosae.domain import check_window, domain_from_json, domain_to_json
from audiosae.errors import InputError
from audiosae.system.files import check_replaceable, file_digest, write_file

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from numpy.typing import NDArray

    from audiosae.domain import Domain, Json

    Array = Any

FORMAT = 1
FILE = "model.safetensors"
ALWAYS_ON = 0.5  # units above this mean activity are reported as always on
DEAD_SHARE = 0.1  # a unit is dead when its mean activity is under this share of rho


@dataclass(frozen=True)
class Model:
    """A trained model. A notebook shows its description and its atoms.

    Attributes
    ----------
    domain
        Turns sources into fields, arrays of float32, and these into windows of shape `domain.window`.
    whitener
        Between windows and the input of the autoencoder.
    params
        The autoencoder.
    rho_hat
        Mean activity of each unit over the training windows, (hidden,).
    facts
        Provenance: options, seed, versions, sources, quality, last row of the history.

    Examples
    --------
    >>> model.atoms().shape == (6, *model.domain.window)
    True
    >>> audiosae.export(model, sounds).features.shape
    (4, 18)
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

    @classmethod
    def create(
        cls, domain: Domain, whitener: Whitener, params: Params, rho_hat: NDArray[np.float64], facts: dict[str, Any]
    ) -> Self:
        """Return a new model, with every fact that it will have once it is saved and loaded."""
        whole = json.loads(json.dumps(facts | own_facts(domain, whitener, params), sort_keys=True))
        return cls(domain, whitener, params, rho_hat, whole)

    @property
    def digest(self) -> str:
        """BLAKE2b of the model's file; tables and sound types name their model by it."""
        return self._file_digest or blake2b(self.to_bytes(), digest_size=16).hexdigest()

    def atoms(self) -> NDArray[np.float32]:
        """Return each unit's atom: the whitened input of norm 1 that excites it most, unwhitened; (hidden, *window)."""
        return self._pictures(self.whitener.undo(self._unit_weights))

    def filters(self) -> NDArray[np.float32]:
        """Return each unit's filter: the field-space input of norm 1 that excites it most; (hidden, *window)."""
        return self._pictures(Backend().unit_rows(self.whitener.filters(self._unit_weights)))

    def encode(self, windows: NDArray[np.floating], backend: Backend | None = None) -> NDArray[np.floating]:
        """Return the codes of windows of the field.

        Parameters
        ----------
        windows
            (count, *window) or (count, width), in the field's own units.
        backend
            Where they are computed; None for NumPy.

        Returns
        -------
        array of shape (count, hidden)

        Raises
        ------
        InputError
            The windows have another shape.
        """
        flat = np.asarray(windows)
        if flat.shape[1:] not in (tuple(self.domain.window), (self.whitener.width,)):
            raise InputError(f"encode wants windows of shape (count, *{self.domain.window}); found {flat.shape}")
        backend = backend or Backend()
        return backend.to_host(self.codes(backend.asarray(flat.reshape(len(flat), -1)), backend))

    def codes(self, windows: Array, backend: Backend, then: Callable[[Array], None] = lambda _: None) -> Array:
        """Return the codes (count, hidden) of windows (count, width) where the backend is, and leave them there.

        `then` is done, in place, with runs of rows of them, while they are in a core's cache.
        """

        def moved() -> tuple[Whitener, Params]:
            whitener, params = self._encoder
            return whitener.moved(backend.asarray), params.on(backend)

        whitener, params = backend.once(self, moved)
        return encode(backend, params, windows.astype(params.flat.dtype, copy=False), whitener.apply, then)

    def activity(self, codes: Array, *, in_place: bool = False) -> Array:
        """Return activations scaled to [0, 1]: the codes of sigmoid units, (a + 1) / 2 of tanh units."""
        if self.params.activation != TANH:
            return codes
        found = codes if in_place else codes.copy()
        found += 1
        found /= 2
        return found

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Which units are hardly ever active, (hidden,)."""
        return np.asarray(self.rho_hat < DEAD_SHARE * float(self.facts["options"]["rho"]))

    @cached_property
    def _encoder(self) -> tuple[Whitener, Params]:
        """What encodes: as learned, or both matrices multiplied into one where that is fewer operations a window."""
        w, (hidden, count) = self.whitener, self.params.W1.shape
        if w.forward is None or w.squash or w.width * hidden >= (w.width + hidden) * count:
            return w, self.params
        rows = self.params.W1.astype(np.float64) @ w.forward.T.astype(np.float64) / w.scale
        unused = np.zeros_like(rows), self.params.b1, np.zeros(w.width)  # W2, and b2: nothing is reconstructed
        flat = np.concatenate([part.ravel() for part in (rows, *unused)]).astype(self.params.flat.dtype)
        kinds = {"activation": self.params.activation, "decoder": self.params.decoder}
        return replace(w, forward=None, scale=1.0), Params(flat, hidden, w.width, **kinds)

    @cached_property
    def _unit_weights(self) -> NDArray[np.float32]:
        return np.asarray(Backend().unit_rows(self.params.W1))

    def _pictures(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        return rows.reshape(len(rows), *self.domain.window).astype(np.float32, copy=False)

    def save(self, path: os.PathLike[str] | str) -> None:
        """Write the model to a file that `load_model` and every command read.

        Parameters
        ----------
        path
            Of the file, as ``birds.safetensors``. Another model that is there is replaced.

        Raises
        ------
        InputError
            It cannot be written, is a folder, or is a file that audiosae did not write.
        """
        path = Path(path)
        if path.is_dir():
            raise InputError(f"cannot write {path}: it is a folder; give a file in it, as {path / FILE}")
        if path.exists():
            check_replaceable(path, [], own=is_model(path))
        write_file(path, self.to_bytes())

    def __repr__(self) -> str:
        window = " x ".join(map(str, self.domain.window))
        return f"<Model: {self.params.hidden} units of {self.domain.name}, windows of {window}>"

    def _repr_html_(self) -> str:
        """Return the description and the most active atoms, for a notebook."""
        from audiosae.views.atoms import notebook_html  # the one import upwards: a notebook asks the object itself

        return notebook_html(self)

    def to_bytes(self) -> bytes:
        """Return the model as its file holds it."""
        w, p = self.whitener, self.params
        tensors = {
            "encoder.weight": p.W1, "encoder.bias": p.b1, "decoder.weight": p.W2, "decoder.bias": p.b2,
            "rho_hat": self.rho_hat, "whiten.mean": w.mean,
        }  # fmt: skip
        if w.forward is not None and w.backward is not None:
            tensors |= {"whiten.forward": w.forward, "whiten.backward": w.backward}
        if w.spread is not None:
            tensors["whiten.spread"] = w.spread
        return tensor_bytes(tensors, self.facts | own_facts(self.domain, w, p))


def own_facts(domain: Domain, w: Whitener, p: Params) -> dict[str, Json]:
    """Return the facts of a model that follow from its parts."""
    whitening: dict[str, Json] = {
        "kind": w.kind, "scale": w.scale, "contrast": w.contrast, "remove_mean": w.remove_mean,
        "squash": w.squash, "notes": w.notes,
    }  # fmt: skip
    return {
        "format": FORMAT,
        "domain": domain_to_json(domain),
        "whitening": whitening,
        "activation": p.activation,
        "decoder": p.decoder,
    }


def is_model(path: Path) -> bool:
    """Return whether a file is a model of this format."""
    try:
        return read_tensors(path).facts.get("format") == FORMAT
    except InputError:
        return False


def load_model(path: os.PathLike[str] | str) -> Model:
    """Read a model.

    Parameters
    ----------
    path
        A ``model.safetensors`` or the run folder that holds one.

    Returns
    -------
    Model

    Raises
    ------
    InputError
        No model is there, or it is damaged, contradicts itself or is of a later format.
    PluginError
        Its domain is not installed.

    Examples
    --------
    >>> model = audiosae.load_model(run)
    >>> model.atoms().shape  # units, frames, bands
    (6, 16, 40)
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
        if not path.exists():
            raise InputError(f"no {FILE} in {path.parent}; wanted a run folder of audiosae train, or the file itself")
    content = read_tensors(path)
    tensors, facts = content.tensors, content.facts
    if facts.get("format") != FORMAT:
        raise InputError(
            f"{path} has format {facts.get('format')!r}, this audiosae reads {FORMAT}; install one that fits"
        )
    domain = domain_from_json(_object(facts, "domain", path))
    check_window(domain)
    try:
        whitener, params = _whitener(tensors, _object(facts, "whitening", path)), _params(tensors, facts)
        rho_hat = tensors["rho_hat"].astype(np.float64)
        float(facts["options"]["rho"])
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        told = f"it lacks {error}" if isinstance(error, KeyError) else str(error)
        raise InputError(f"{path} is damaged: its parts are not those of a model ({told})") from error
    if (
        whitener.width != int(np.prod(domain.window))
        or whitener.n_components != params.width
        or rho_hat.shape != params.b1.shape
    ):
        raise InputError(f"{path} is damaged: its domain's windows {domain.window}, whitening and weights do not fit")
    return Model(domain, whitener, params, rho_hat, facts, file_digest(path))


def as_model(model: Model | os.PathLike[str] | str) -> Model:
    """Return a model that is given as itself, as a run folder or as a file."""
    return model if isinstance(model, Model) else load_model(model)


def path_of(model: Model | os.PathLike[str] | str) -> Path | None:
    """Return the run folder or file of a model that is given as one; None for one in memory."""
    return None if isinstance(model, Model) else Path(model)


def _object(facts: dict[str, Any], key: str, path: Path) -> dict[str, Any]:
    found = facts.get(key)
    if not isinstance(found, dict):
        raise InputError(f"{path} is damaged: no {key} in its JSON")
    return found


def _params(tensors: dict[str, NDArray[Any]], facts: dict[str, Any]) -> Params:
    W1, W2 = tensors["encoder.weight"], tensors["decoder.weight"]
    b1, b2 = tensors["encoder.bias"], tensors["decoder.bias"]
    hidden, width = W1.shape
    if (W2.shape, b1.shape, b2.shape) != ((hidden, width), (hidden,), (width,)):
        raise ValueError(f"weights of shapes {W1.shape}, {W2.shape}, {b1.shape}, {b2.shape}")
    if W1.dtype not in (np.float32, np.float64) or facts["activation"] not in (SIGMOID, TANH):
        raise ValueError(f"weights of type {W1.dtype}, activation {facts['activation']!r}")
    if facts["decoder"] not in (LINEAR, SIGMOID):
        raise ValueError(f"decoder {facts['decoder']!r}")
    flat = np.concatenate([W1.ravel(), W2.ravel(), b1, b2]).astype(W1.dtype, copy=False)
    return Params(flat, hidden, width, activation=facts["activation"], decoder=facts["decoder"])


def _whitener(tensors: dict[str, NDArray[Any]], kept: dict[str, Any]) -> Whitener:
    mean, forward, backward = tensors["whiten.mean"], tensors.get("whiten.forward"), tensors.get("whiten.backward")
    if mean.ndim != 1 or (forward is None) != (backward is None):
        raise ValueError(f"whitening of shape {mean.shape}")
    if (
        forward is not None
        and backward is not None
        and (forward.shape[0] != len(mean) or forward.shape != backward.shape[::-1])
    ):
        raise ValueError(f"whitening of shapes {forward.shape}, {backward.shape}")
    spread = tensors.get("whiten.spread")
    if spread is not None and (forward is None or spread.shape != forward.shape[1:]):
        raise ValueError(f"whitening's spread of shape {spread.shape}")
    scale = float(kept["scale"])
    if not (np.isfinite(scale) and scale > 0):
        raise ValueError(f"whitening scale {scale}")
    flags = {key: bool(kept[key]) for key in ("contrast", "remove_mean", "squash")}
    return Whitener(
        kept["kind"], mean, forward, backward, scale=scale, notes=dict(kept["notes"]), spread=spread, **flags
    )
