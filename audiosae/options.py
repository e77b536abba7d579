"""The options of training: what the user gave, else what suits the domain, else the general value."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_type_hints

from audiosae.errors import InputError, PluginError
from audiosae.sae import Penalty

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.domain import Json

_BATCH_AT_LEAST = 1
_MEMORY_AT_LEAST = 16


@dataclass(frozen=True)
class TrainOptions:
    """Everything that decides what is learned, besides the domain and the sources.

    The fields are the command line's options of the same names. 0 epochs means: chosen by the number of windows.
    `memory` is in MiB and bounds what is held of the windows; it is one of these options because it decides what is
    shuffled together.
    """

    hidden: int = 256
    activation: Literal["sigmoid", "tanh"] = "sigmoid"
    decoder: Literal["linear", "sigmoid"] = "linear"
    rho: float = 0.05
    beta: float = 3.0
    weight_decay: float = 1e-4
    whiten: Literal["pca", "zca", "scale", "none"] = "pca"
    whiten_power: float = 1.0
    keep: float = 0.99
    contrast: bool = False
    remove_mean: bool = False
    solver: Literal["auto", "adam", "lbfgs"] = "auto"
    epochs: int = 0
    batch_size: int = 1024
    learning_rate: float = 1e-3
    tol: float = 1e-4
    max_windows: int = 0
    memory: int = 512
    seed: int = 0
    dtype: Literal["float32", "float64"] = "float32"

    def __post_init__(self) -> None:
        """Refuse values out of range."""
        hints = get_type_hints(type(self))
        for field in fields(self):
            choices = get_args(hints[field.name])
            value = getattr(self, field.name)
            if choices and value not in choices:
                raise InputError(f"{flag(field.name)} {value}: wanted one of {', '.join(choices)}")
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{flag(field.name)} {value}: wanted a finite number")
        for name in ("hidden", "batch_size"):
            if getattr(self, name) < _BATCH_AT_LEAST:
                raise InputError(f"{flag(name)} {getattr(self, name)}: wanted at least 1")
        if self.memory < _MEMORY_AT_LEAST:
            raise InputError(f"--memory {self.memory}M: wanted at least {_MEMORY_AT_LEAST}M")
        for name in ("epochs", "max_windows", "seed", "tol"):
            if getattr(self, name) < 0:
                raise InputError(f"{flag(name)} {getattr(self, name)}: wanted at least 0")
        if not self.learning_rate > 0:
            raise InputError(f"--learning-rate {self.learning_rate:g}: wanted more than 0")
        _ = self.penalty

    @property
    def penalty(self) -> Penalty:
        """What is added to the reconstruction error."""
        return Penalty(self.rho, self.beta, self.weight_decay)

    @classmethod
    def resolve(cls, defaults: Mapping[str, Json], given: Mapping[str, Any]) -> Self:
        """Return the options: `given` (None counts as not given) over the domain's defaults over the general ones."""
        unknown = sorted(defaults.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise PluginError(f"the domain's defaults name {', '.join(unknown)}, which training does not have")
        values: dict[str, Any] = dict(defaults)
        values |= {key: value for key, value in given.items() if value is not None}
        return cls(**values)

    def to_json(self) -> dict[str, Json]:
        """Return the options as JSON values."""
        return asdict(self)


def flag(name: str) -> str:
    """Return an option's name as it is typed."""
    return "--" + name.replace("_", "-")
