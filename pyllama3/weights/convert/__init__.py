"""GGUF files of our own: quantizers, mixtures of types, and the writer."""
