"""Exceptions. Each message states what was expected, what was found and what to do."""


class AudiosaeError(Exception):
    """Base class of all errors that audiosae raises on purpose; the message is one line.

    Attributes
    ----------
    result
        What the function had finished before the error: its result with ``strict=True``, else None.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, run
    >>> try:
    ...     audiosae.load_model("nowhere")
    ... except audiosae.AudiosaeError as error:
    ...     print(error)
    no such file or folder: nowhere; wanted a run folder of audiosae train, or its model.safetensors
    """

    result: object

    def __init__(self, message: str, result: object = None) -> None:
        super().__init__(message)
        self.result = result


class InputError(AudiosaeError):
    """A source, an option or a file cannot be used.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import sounds
    >>> audiosae.train(sounds, rho=2.0)
    Traceback (most recent call last):
    audiosae.errors.InputError: rho=2: wanted a mean activity between 0 and 1, for instance 0.05
    """


class PluginError(AudiosaeError):
    """A domain is missing, broken or defined by two packages."""


class BackendError(AudiosaeError):
    """The requested backend is not available."""


class EngineError(AudiosaeError):
    """The Dask cluster is unavailable, incompatible, or was lost."""


class Interrupted(AudiosaeError):  # noqa: N818 (not an error: the user stopped the run)
    """Training was interrupted; a checkpoint was saved, from which it can resume."""
