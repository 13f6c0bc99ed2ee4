"""One module per file format, and the containers they are made of."""
