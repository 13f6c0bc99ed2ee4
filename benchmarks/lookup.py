"""Measure prompt-lookup decoding on a text-editing prompt: the tokens are the same, and how much sooner they come.

python benchmarks/lookup.py [-m MODEL] [-n TOKENS] [--precision NAME]
"""

from __future__ import annotations

import argparse
import statistics

from pyllama3 import Llama
from pyllama3.config import PRECISIONS

CODE = """\
class Rectangle:
    def __init__(self, width, height):
        self.width = width
        self.height = height

    def area(self):
        return self.width * self.height

    def perimeter(self):
        return 2 * (self.width + self.height)

class Circle:
    def __init__(self, radius):
        self.radius = radius

    def area(self):
        return 3.14159 * self.radius * self.radius

    def perimeter(self):
        return 2 * 3.14159 * self.radius
"""
PROMPT = f"Rename the class Rectangle to Box and write out the whole code again:\n\n{CODE}"


def main() -> None:
    """Print a line for each number of guesses."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-m", "--model", default="smollm2")
    parser.add_argument("-n", "--tokens", type=int, default=160)
    parser.add_argument("-r", "--rounds", type=int, default=3)
    parser.add_argument("--precision", choices=PRECISIONS, default="default")
    arguments = parser.parse_args()
    with Llama.load(arguments.model, precision=arguments.precision) as llm:
        ids = llm.encode_chat([{"role": "user", "content": PROMPT}])
        guesses = (0, 2, 4, 8, 16)
        speeds: dict[int, list[float]] = {count: [] for count in guesses}
        plain: list[int] = []
        for _ in range(arguments.rounds):  # taken in turns, so that what else the machine does is shared fairly
            for count in guesses:
                pieces = list(llm.generate(ids, max_tokens=arguments.tokens, temperature=0, lookup=count))
                tokens = [piece.id for piece in pieces]
                plain = plain or tokens
                assert tokens == plain, "lookup has changed the text"
                speeds[count].append(pieces[-1].stats.speed)
                if count == guesses[-1]:
                    stats = pieces[-1].stats
        base = statistics.median(speeds[0])
        print(f"{llm.config.name}, {len(ids)} + {len(plain)} tokens, {llm.backend}, {llm.threads} threads")
        for count in guesses:
            speed = statistics.median(speeds[count])
            print(f"lookup {count:2}: {speed:6.1f} tokens/s, {speed / base:.2f} times plain decoding")
        print(f"{stats.accepted} of {stats.drafted} guesses right with {guesses[-1]} at a time; all texts are the same")


if __name__ == "__main__":
    main()
