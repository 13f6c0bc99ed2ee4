"""From logits to text: choosing tokens, when to stop, what to guess, and many texts at once."""
