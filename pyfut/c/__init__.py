"""The C target: a checked program to one C file and its header."""
