"""Backends, builds and models side by side: where they differ, by how much, and which operation is to blame."""
