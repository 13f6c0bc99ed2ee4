"""Why a model says what it says: what its layers compute, and how the next token is chosen, as a page."""
