"""The Python target: a checked program to one Python module."""
