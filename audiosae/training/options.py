"""The options of training: what the user gave, else what suits the domain, else the general value."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, Literal, Self, get_args, get_type_hints

import numpy as np

from audiosae.autoencoder.sae import Penalty, start
from audiosae.autoencoder.whitening import Whitening
from audiosae.errors import InputError, PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from audiosae.autoencoder.sae import Params
    from audiosae.autoencoder.whitening import Whitener
    from audiosae.domain import Json
    from audiosae.engine import Engine

_KINDS: dict[Any, tuple[Any, str]] = {
    bool: (bool | np.bool_, "True or False"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
}
_Range = tuple[Callable[[Any], bool], str]
_AT_LEAST_0: _Range = (lambda value: value >= 0, "at least 0")
_AT_LEAST_1: _Range = (lambda value: value >= 1, "at least 1")
_RANGES: dict[str, _Range] = {
    "hidden": _AT_LEAST_1,
    "batch_size": _AT_LEAST_1,
    "epochs": _AT_LEAST_0,
    "max_windows": _AT_LEAST_0,
    "seed": _AT_LEAST_0,
    "tol": _AT_LEAST_0,
    "memory": (lambda value: value >= 16, "at least 16 MiB"),  # noqa: PLR2004
    "learning_rate": (lambda value: value > 0, "more than 0"),
    "whiten_power": (lambda value: 0 <= value <= 1, "0 (only rotate) to 1 (whiten fully)"),
    "keep": (lambda value: 0 < value <= 1, "a share of the variance, above 0 and at most 1"),
}


_WINDOWS_SHOWN = 1_500_000  # windows that Adam sees in all where the number of epochs was left open
_MOST_EPOCHS = 1000
_LBFGS_ITERATIONS = 400  # as in the UFLDL exercises
_LBFGS_AFFORDABLE = 2e12  # floating-point operations of such a run: tens of seconds on two cores


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
    memory: int = 256
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
            if hints[field.name] in _KINDS:
                value = _whole_or_not(field.name, value, hints[field.name])
                object.__setattr__(self, field.name, value)  # NumPy's numbers become Python's: they must go into JSON
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{flag(field.name)} {value}: wanted a finite number")
        for name, (allowed, wanted) in _RANGES.items():
            if not allowed(getattr(self, name)):
                raise InputError(f"{flag(name)} {getattr(self, name)}: wanted {wanted}")
        _ = self.penalty

    @property
    def penalty(self) -> Penalty:
        """The penalty: KL sparsity and weight decay."""
        return Penalty(self.rho, self.beta, self.weight_decay)

    @property
    def whitening(self) -> Whitening:
        """What is asked of the whitening."""
        squash = self.decoder == "sigmoid"
        return Whitening(self.whiten, self.whiten_power, self.keep, self.contrast, self.remove_mean, squash)

    def start(self, whitener: Whitener) -> Params:
        """Return the random parameters that training begins with, on windows that are whitened so."""
        return start(
            self.hidden, whitener.n_components, seed=self.seed, rho=self.rho, activation=self.activation,
            decoder=self.decoder, dtype=self.dtype, spread=whitener.spread,
        )  # fmt: skip

    @classmethod
    def resolve(cls, defaults: Mapping[str, Json], given: Mapping[str, Any], *, domain: str = "") -> Self:
        """Return the options: `given` (None counts as not given) over the domain's defaults over the general ones.

        Raises
        ------
        InputError
            A value that was given is out of range or of the wrong kind.
        PluginError
            One of the defaults is, or is no option of training; `domain` is named.
        """
        whose = f"domain {domain}: its defaults" if domain else "the domain's defaults"
        unknown = sorted(defaults.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise PluginError(f"{whose} name {', '.join(unknown)}, which training does not have")
        values: dict[str, Any] = dict(defaults)
        try:
            cls(**values)
        except (InputError, TypeError) as error:
            raise PluginError(f"{whose} hold a value that training cannot take ({error})") from error
        return cls(**values | {key: value for key, value in given.items() if value is not None})

    @classmethod
    def stored(cls, kept: Mapping[str, Any], **changed: Any) -> Self:  # noqa: ANN401
        """Return the options that a model was trained with, some of them changed; what it lacks is as it is in general.

        Raises
        ------
        InputError
            It was trained with an option that this version does not have: it cannot be trained as it was.
        """
        unknown = sorted(kept.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(f"the model was trained with {', '.join(map(flag, unknown))}, which this version of "
                             f"audiosae does not have; install the one that made it, or train anew")  # fmt: skip
        return cls(**{**kept, **changed})

    def to_json(self) -> dict[str, Json]:
        """Return the options as JSON values."""
        return asdict(self)


def _whole_or_not(name: str, value: Any, kind: type) -> Any:  # noqa: ANN401
    """Return a value as one of Python's; refuse one of another kind: 64.0 and True are no whole numbers."""
    fitting, wanted = _KINDS[kind]
    if not isinstance(value, fitting) or (kind is not bool and isinstance(value, bool | np.bool_)):
        raise InputError(f"{flag(name)} {value!r}: wanted {wanted}")
    return value if isinstance(value, int | float) else kind(value)


def flag(name: str) -> str:
    """Return an option's name as it is typed."""
    return "--" + name.replace("_", "-")


def choose_solver(options: TrainOptions, windows: int, n_components: int, say: Callable[[str], None]) -> TrainOptions:
    """Choose solver and number of epochs where they were left open, and say which and why."""
    solver, epochs = options.solver, options.epochs
    if solver == "auto":
        work = 12.0 * _LBFGS_ITERATIONS * windows * n_components * options.hidden
        solver = "lbfgs" if work <= _LBFGS_AFFORDABLE else "adam"
        size = "small enough for exact full-batch steps" if solver == "lbfgs" else "mini-batches learn sooner"
        say(f"solver {solver}: {windows} windows of {n_components} components, {options.hidden} units: {size}")
    if not epochs:
        shown = min(_MOST_EPOCHS, max(1, round(_WINDOWS_SHOWN / max(1, windows))))
        epochs = _LBFGS_ITERATIONS if solver == "lbfgs" else shown
    return replace(options, solver=solver, epochs=epochs)


def suited_to(engine: Engine, options: TrainOptions, width: int) -> TrainOptions:
    """Have workers make exact passes over all windows; refuse mini-batches, which do not pay (docs/cluster.md).

    Parameters
    ----------
    engine
        Where passes are made; this process alone takes any options.
    width
        Numbers in a window.

    Raises
    ------
    InputError
        The solver is Adam.
    """
    if not engine.remote:
        return options
    if options.solver != "adam":
        return replace(options, solver="lbfgs")
    weights = 2 * options.hidden * width
    size = 2 * weights * (8 if options.dtype == "float64" else 4) / 1e6  # parameters there, gradient back
    work = (
        5 * weights * options.batch_size / 1e9
    )  # five products of hidden x width, a multiplication and an addition each
    raise InputError(
        f"--solver adam --engine {engine.name}: a step of {options.batch_size} windows ({width} numbers, "
        f"{options.hidden} units) is {work:.2g} GFlop of work for up to {size:.2g} MB sent to and from every worker, "
        f"slower than one machine alone; use --solver lbfgs, one exchange for a pass over all windows"
    )
