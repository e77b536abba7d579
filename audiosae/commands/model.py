"""A model as a person has it: read from a run, shown in a notebook, applied to files."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Self

from audiosae.autoencoder import model as stored
from audiosae.errors import InputError
from audiosae.features.summary import activity_of, summarise
from audiosae.system.files import check_replaceable, file_digest
from audiosae.system.frames import html_table
from audiosae.views.atoms import small_picture

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from audiosae.corpus.sources import Named
    from audiosae.features.codes import Code
    from audiosae.features.table import Level, Table
    from audiosae.recordings.dates import When
    from audiosae.system.progress import Progress


@dataclass(frozen=True)
class Model(stored.Model):
    """A trained model: domain, whitening, autoencoder and provenance. A notebook shows what it is, and its atoms.

    Attributes
    ----------
    domain
        Turns sources into fields, arrays of float32, and these into windows of shape `domain.window`.
    whitener
        Between windows and what the autoencoder sees.
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
    >>> model.features(sounds).features.shape
    (4, 18)
    >>> model.save("copy.safetensors")
    >>> audiosae.load_model("copy.safetensors").digest == model.digest
    True
    """

    _file_digest: str = field(default="", repr=False)

    @classmethod
    def of(cls, model: stored.Model, digest: str = "") -> Self:
        """Return a model with what a person does with it; `digest` is that of the file that holds it."""
        return cls(model.domain, model.whitener, model.params, model.rho_hat, model.facts, digest)

    @property
    def digest(self) -> str:
        """BLAKE2b of the model's file, by which tables and sound types say whose they are."""
        return self._file_digest or blake2b(self.to_bytes(), digest_size=16).hexdigest()

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
            raise InputError(f"cannot write {path}: it is a folder; give a file in it, as {path / stored.FILE}")
        if path.exists():
            check_replaceable(path, [], own=stored.is_model(path))
        super().save(path)

    def features(
        self, sources: Named, *, level: Level = "file", pool: str | Sequence[str] | None = None, segments: int = 1,
        code: Code = "sqrt", labels: os.PathLike[str] | str | None = None, label_column: str | None = None,
        when: When = "auto", time_zone: str | None = None, strict: bool = False, workers: int | None = None,
        engine: str = "here", backend: str = "auto",
        cache: os.PathLike[str] | str | None = None, progress: bool | Progress = False,
    ) -> Table:  # fmt: skip
        """Return the features of sources as arrays in memory: `audiosae.export_table` without a file.

        Parameters
        ----------
        sources
            A file or folder, or several.
        level, pool, segments, code, labels, label_column, when, time_zone, strict
            What the rows are; see `audiosae.export_table`.
        workers, engine, backend, cache, progress
            How the work is done; see `audiosae.export_table`.

        Returns
        -------
        Table
            `features` of shape (rows, columns), `keys`, `names`, `skipped`, `frame()`.

        Raises
        ------
        InputError
            No source can be used, or an option is wrong.
        """
        from audiosae.commands.export import export_table

        return export_table(
            self, sources, level=level, pool=pool, segments=segments, code=code, labels=labels,
            label_column=label_column, when=when, time_zone=time_zone, strict=strict, workers=workers, engine=engine,
            backend=backend, cache=cache, progress=progress,
        )  # fmt: skip

    def __repr__(self) -> str:
        window = " x ".join(map(str, self.domain.window))
        return f"<Model: {self.params.hidden} units of {self.domain.name}, windows of {window}>"

    def _repr_html_(self) -> str:
        """Return what the model is and its most active atoms, for a notebook."""
        picture = base64.b64encode(small_picture(self)).decode()
        alt = f"atoms of {self.params.hidden} units, the most active first"
        return (
            html_table(summarise(self, activity_of(self)))
            + f'<img alt="{alt}" title="{alt}" src="data:image/png;base64,{picture}">'
        )


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
    model = stored.load_model(path)
    return Model.of(model, file_digest(path / stored.FILE if path.is_dir() else path))


def path_of(model: stored.Model | os.PathLike[str] | str) -> Path | None:
    """Return the run folder or file of a model that is given as one; None for one in memory."""
    return None if isinstance(model, stored.Model) else Path(model)


def opened_model(model: stored.Model | os.PathLike[str] | str) -> Model:
    """Return a model that is given as itself, as a run folder or as a file."""
    if isinstance(model, Model):
        return model
    return Model.of(model) if isinstance(model, stored.Model) else load_model(model)
