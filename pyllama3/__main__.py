"""`python -m pyllama3` is `pyllama3`."""

from .cli import main

main()
