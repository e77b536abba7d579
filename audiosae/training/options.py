"""The options of training: the values of the user, else the defaults of the domain, else the general defaults."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypedDict

from audiosae.autoencoder.sae import Params, Penalty, start
from audiosae.autoencoder.whitening import Whitener, Whitening
from audiosae.errors import InputError, PluginError
from audiosae.system.parameters import Option, byte_count, checked, declarations, flag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from audiosae.domain import Json
    from audiosae.engine import Engine

_ADAM_WINDOWS = 1_500_000  # number of windows over all epochs, if the number of epochs is not given
_MAX_EPOCHS = 1000
_LBFGS_ITERATIONS = 400  # as in the UFLDL exercises
_LBFGS_MAX_OPERATIONS = 2e12  # floating-point operations of a run: tens of seconds on two cores
_MIN_MEMORY = 16  # MiB


@dataclass(frozen=True)
class TrainOptions:
    """Options of training. With the domain and the sources, they determine the model.

    The fields are the options of ``audiosae train`` with the same names; `TrainKeywords` has them as keywords. `memory`
    is one of them because it determines which windows are shuffled together.
    """

    hidden: Annotated[
        int, Option("Number of hidden units.", "Model", allowed=lambda n: n >= 1, wanted="at least 1")
    ] = 256
    activation: Annotated[Literal["sigmoid", "tanh"], Option("Activation function of the hidden units.", "Model")] = (
        "sigmoid"
    )
    decoder: Annotated[Literal["linear", "sigmoid"], Option("Activation function of the output layer.", "Model")] = (
        "linear"
    )
    rho: Annotated[float, Option("Target mean activity of each unit.", "Model")] = 0.05
    beta: Annotated[float, Option("Weight of the sparsity penalty; 0 for the plain autoencoder.", "Model")] = 3.0
    weight_decay: Annotated[float, Option("Weight of the penalty on squared weights.", "Model")] = 1e-4
    whiten: Annotated[
        Literal["pca", "zca", "scale", "none"],
        Option("Preprocessing of the windows: PCA whitening, ZCA whitening, one common scale, or none.", "Model"),
    ] = "pca"
    whiten_power: Annotated[
        float,
        Option(
            "Strength of the whitening: 0 only rotates, 1 whitens fully.",
            "Model",
            allowed=lambda p: 0 <= p <= 1,
            wanted="0 (only rotate) to 1 (whiten fully)",
        ),
    ] = 1.0
    keep: Annotated[
        float,
        Option(
            "Share of the variance that whitening keeps.",
            "Model",
            allowed=lambda s: 0 < s <= 1,
            wanted="a share of the variance, above 0 and at most 1",
        ),
    ] = 0.99
    contrast: Annotated[
        bool,
        Option(
            "Normalise each window to mean 0 and standard deviation 1.", "Model", flags=("--contrast/--no-contrast",)
        ),
    ] = False
    remove_mean: Annotated[
        bool, Option("Subtract the mean of each window.", "Model", flags=("--remove-mean/--keep-mean",))
    ] = False
    solver: Annotated[
        Literal["auto", "adam", "lbfgs"],
        Option(
            "Optimiser; auto uses L-BFGS where full-batch steps are cheap, else Adam, and prints the reason.",
            "Training",
        ),
    ] = "auto"
    epochs: Annotated[
        int,
        Option(
            "Passes over the windows (Adam) or iterations (L-BFGS).",
            "Training",
            allowed=lambda n: n >= 0,
            wanted="at least 0",
            default="0, chosen by the number of windows",
        ),
    ] = 0
    batch_size: Annotated[
        int, Option("Windows per step (Adam).", "Training", allowed=lambda n: n >= 1, wanted="at least 1")
    ] = 1024
    learning_rate: Annotated[
        float, Option("Peak learning rate of Adam.", "Training", allowed=lambda r: r > 0, wanted="more than 0")
    ] = 1e-3
    tol: Annotated[
        float,
        Option(
            "Smallest relative improvement that counts for early stopping.",
            "Training",
            allowed=lambda t: t >= 0,
            wanted="at least 0",
        ),
    ] = 1e-4
    max_windows: Annotated[
        int,
        Option(
            "Train on at most this many windows, drawn at random from a sample of the archive; 0 for all.",
            "Training",
            allowed=lambda n: n >= 0,
            wanted="at least 0",
        ),
    ] = 0
    sample: Annotated[
        Literal["auto", "even", "events"],
        Option(
            "How training windows are drawn: evenly (even), or most of them from where something stands out from the "
            "background, each recording equally often (events). auto: even.",
            "Training",
        ),
    ] = "auto"
    memory: Annotated[
        int,
        Option(
            "Memory for cached windows.",
            "Machine",
            python="In MiB.",
            allowed=lambda n: n >= _MIN_MEMORY,
            wanted="at least 16 MiB",
            metavar="256M",
            typed=str,
            default="256M",
            parse=lambda option, text: byte_count(option, text, least=f"{_MIN_MEMORY}M") // 2**20,
        ),
    ] = 256
    seed: Annotated[
        int,
        Option(
            "Random seed for initial weights, held-out split and batch order.",
            "Training",
            allowed=lambda n: n >= 0,
            wanted="at least 0",
        ),
    ] = 0
    dtype: Annotated[Literal["float32", "float64"], Option("Floating-point type.", "Machine")] = "float32"

    def __post_init__(self) -> None:
        for name, (kind, option) in declarations(type(self)).items():
            object.__setattr__(self, name, checked(name, getattr(self, name), kind, option))
        _ = self.penalty

    @property
    def penalty(self) -> Penalty:
        """Weights of KL sparsity and weight decay."""
        return Penalty(self.rho, self.beta, self.weight_decay)

    @property
    def whitening(self) -> Whitening:
        """Options of the whitening."""
        return Whitening(
            self.whiten,
            self.whiten_power,
            self.keep,
            self.contrast,
            self.remove_mean,
            squash=self.decoder == "sigmoid",
        )

    def start(self, whitener: Whitener) -> Params:
        """Return random initial parameters for windows with this whitening."""
        return start(
            self.hidden,
            whitener.n_components,
            seed=self.seed,
            rho=self.rho,
            activation=self.activation,
            decoder=self.decoder,
            dtype=self.dtype,
            spread=whitener.spread,
        )

    @classmethod
    def resolve(cls, defaults: Mapping[str, Json], given: Mapping[str, Any], *, domain: str = "") -> Self:
        """Return the options: `given`, else the defaults of the domain, else the general defaults.

        Parameters
        ----------
        given
            Values of the user; None is the same as no value.
        domain
            Name of the domain, for error messages.

        Raises
        ------
        InputError
            A given value is out of range or of the wrong type.
        PluginError
            A default of the domain is out of range, of the wrong type, or not an option of training.
        """
        name = f"domain {domain}: its defaults" if domain else "the domain's defaults"
        unknown = sorted(defaults.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise PluginError(f"{name} include {', '.join(unknown)}, which is no option of training")
        values: dict[str, Any] = dict(defaults)
        try:
            cls(**values)
        except (InputError, TypeError) as error:
            raise PluginError(f"{name} have a value that training does not accept ({error})") from error
        return cls(**values | {key: value for key, value in given.items() if value is not None})

    @classmethod
    def stored(cls, options: Mapping[str, Any], **changed: object) -> Self:
        """Return the options of a trained model, some of them changed; general defaults for options that it lacks.

        Raises
        ------
        InputError
            The model has an option that this version does not have, so that the training cannot be repeated.
        """
        unknown = sorted(options.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(
                f"the model was trained with {', '.join(map(flag, unknown))}, which this version of audiosae does not "
                f"have; install the version that made it, or train a new model"
            )
        return cls(**{**options, **changed})

    def to_json(self) -> dict[str, Json]:
        """Return the options as JSON values."""
        return asdict(self)


class TrainKeywords(TypedDict, total=False):
    """The fields of `TrainOptions` as keywords; None, or no value, is the default of the domain."""

    hidden: int | None
    activation: Literal["sigmoid", "tanh"] | None
    decoder: Literal["linear", "sigmoid"] | None
    rho: float | None
    beta: float | None
    weight_decay: float | None
    whiten: Literal["pca", "zca", "scale", "none"] | None
    whiten_power: float | None
    keep: float | None
    contrast: bool | None
    remove_mean: bool | None
    solver: Literal["auto", "adam", "lbfgs"] | None
    epochs: int | None
    batch_size: int | None
    learning_rate: float | None
    tol: float | None
    max_windows: int | None
    sample: Literal["auto", "even", "events"] | None
    memory: int | None
    seed: int | None
    dtype: Literal["float32", "float64"] | None


def choose_solver(
    options: TrainOptions, windows: int, n_components: int, say: Callable[[str], None] = lambda _: None
) -> TrainOptions:
    """Choose the solver if it is auto, and the number of epochs if it is 0; `say` gets the reason."""
    solver, epochs = options.solver, options.epochs
    if solver == "auto":
        work = 12.0 * _LBFGS_ITERATIONS * windows * n_components * options.hidden
        solver = "lbfgs" if work <= _LBFGS_MAX_OPERATIONS else "adam"
        reason = "small enough for exact full-batch steps" if solver == "lbfgs" else "mini-batches learn faster"
        say(f"solver {solver}: {windows} windows of {n_components} components, {options.hidden} units: {reason}")
    if not epochs:
        adam_epochs = min(_MAX_EPOCHS, max(1, round(_ADAM_WINDOWS / max(1, windows))))
        epochs = _LBFGS_ITERATIONS if solver == "lbfgs" else adam_epochs
    return replace(options, solver=solver, epochs=epochs)


def suited_to(engine: Engine, options: TrainOptions, width: int) -> TrainOptions:
    """Return the options for an engine: a cluster uses L-BFGS, since mini-batches are slow there (docs/cluster.md).

    Parameters
    ----------
    width
        Number of values in a window.

    Raises
    ------
    InputError
        The engine is a cluster and the solver is Adam.
    """
    if not engine.remote:
        return options
    if options.solver != "adam":
        return replace(options, solver="lbfgs")
    weights = 2 * options.hidden * width
    size = 2 * weights * (8 if options.dtype == "float64" else 4) / 1e6  # parameters and gradient
    # five products of hidden x width values per window, a multiplication and an addition each
    work = 5 * weights * options.batch_size / 1e9
    raise InputError(
        f"--solver adam --engine {engine.name}: a step of {options.batch_size} windows ({width} numbers, "
        f"{options.hidden} units) is {work:.2g} GFlop of work for up to {size:.2g} MB sent to and from every worker, "
        f"slower than one machine alone; use --solver lbfgs, which sends this once per pass over all windows"
    )
