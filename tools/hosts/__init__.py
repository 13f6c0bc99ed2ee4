"""The engine in every language that the real Fusion compiler writes, each with a small host."""
