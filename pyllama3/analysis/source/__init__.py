"""The methods of the engine in Fusion, Python and C, and on small numbers."""
