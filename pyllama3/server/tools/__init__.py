"""Functions that a model may call: told to it, forced by a grammar, and found in what it says."""
