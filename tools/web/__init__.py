"""The site in which a model answers in the browser: `invoke web` makes it of web/ and the engine."""
