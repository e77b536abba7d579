"""What can go wrong, told as what was wanted, what was found and what to do."""


class AudiosaeError(Exception):
    """Root of every error that audiosae raises on purpose; its text is one line for a person."""


class InputError(AudiosaeError):
    """A source, an option or a file that cannot be used."""


class PluginError(AudiosaeError):
    """A domain that is missing, broken or claimed by two packages."""


class BackendError(AudiosaeError):
    """A backend that is not to be had on this machine."""


class EngineError(AudiosaeError):
    """A cluster that is not to be had, does not fit, or was lost."""


class Interrupted(AudiosaeError):  # noqa: N818 (no error: it was asked for)
    """A run that was asked to stop and has kept what is needed to go on."""
