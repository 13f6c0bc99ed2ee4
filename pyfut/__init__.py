"""The bundled compiler of the Fusion language, with Python and C as targets."""

__version__ = "0.1.0"
