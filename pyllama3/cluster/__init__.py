"""The same work on several machines, over Ray."""
