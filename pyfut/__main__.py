"""Entry point of `python -m pyfut`."""

import sys

from pyfut.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
