"""Models by reference: where they come from, and where they are kept."""
