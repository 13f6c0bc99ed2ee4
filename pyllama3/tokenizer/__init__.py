"""Text to tokens and back, and the templates that make a text of a conversation."""
