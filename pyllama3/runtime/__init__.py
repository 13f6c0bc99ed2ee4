"""Weights in an engine, caches and batches, and sequences that are fed with tokens."""
