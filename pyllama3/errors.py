"""Errors that a user can cause: the command line turns each into one line and an exit code."""

from __future__ import annotations

from .foreign import printable


class PyLlama3Error(Exception):
    """Base of every error this package raises on purpose; its text is one line for the user.

    Names and texts of others in it are made printable, so that no file can write to a terminal what it wants.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(printable(text))


class WeightsError(PyLlama3Error):
    """A model file is missing, damaged or not of a kind that can be read."""


class TokenizerError(PyLlama3Error):
    """The vocabulary of a model is missing or not of a kind that can be used."""


class TemplateError(PyLlama3Error):
    """A chat template does not parse, or refuses the messages."""


class BackendError(PyLlama3Error):
    """A backend is unknown, not built, or does not fit the generated engine."""


class ContextError(PyLlama3Error):
    """Tokens do not fit into the context."""


class OptionError(PyLlama3Error):
    """An option of a public function has a value that is not allowed."""


class StoppedError(PyLlama3Error):
    """A computation was ended before it was complete, because somebody asked for that."""


class PromptCacheError(PyLlama3Error):
    """A prompt cache is damaged, or one of another model."""


class BatchError(PyLlama3Error):
    """A batch file cannot be read or written, or a line of it is not a request."""


class ClusterError(PyLlama3Error):
    """A cluster cannot be reached, or what runs there does not work."""


class BusyError(PyLlama3Error):
    """More is asked of a server than it can take at the moment."""


class StoreError(PyLlama3Error):
    """A model can not be found or downloaded."""
