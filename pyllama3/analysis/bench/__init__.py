"""Measuring speed and memory, with the conventions of llama.cpp's llama-bench."""
