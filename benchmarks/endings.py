"""Whether answers come to an end by themselves: how many run away or repeat themselves, by the options of the sampler.

200 questions of the kinds that people begin with, in 20 forms about 10 things, each with several seeds. An answer runs
away if it has not ended after --most tokens. It repeats itself if a line or sentence of 20 characters is in it three
times or more. How many of the answers `LoopDetector` would have broken off, and how many of those would have ended by
themselves, is told, too: it is not at work here.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from pyllama3 import Llama  # noqa: E402
from pyllama3.cli.options import given, model_option, sampler_options  # noqa: E402
from pyllama3.generation.generation import Generation, Piece  # noqa: E402
from pyllama3.generation.stopping import LoopDetector  # noqa: E402

THINGS = ("the sea", "bread", "a bicycle", "winter", "music", "the moon", "money", "a computer", "tea", "Paris")
FORMS = (
    "What is {}?",
    "Tell me about {}.",
    "Tell me a joke about {}.",
    "Write a short poem about {}.",
    "Write a story about {}.",
    "List five facts about {}.",
    "Explain {} to a child.",
    "Why do people like {}?",
    "What is the history of {}?",
    "How many words do you know for {}?",
    "Give me ten ideas for a party about {}.",
    "Translate '{}' into French.",
    "Describe {} in one sentence.",
    "Write a letter to a friend about {}.",
    "What should I know before I write an essay about {}?",
    "Once upon a time there was {}",
    "Write a Python function that prints a line about {}.",
    "What are the advantages and disadvantages of {}?",
    "Answer with yes or no: is {} older than you?",
    "Summarize in three points what matters about {}.",
)
REPEATS = 3
SHORTEST = 20


@dataclass
class Answer:
    """A question with what was said."""

    question: str
    seed: int
    ids: list[int]
    text: str
    ended: bool


def repeats(text: str) -> bool:
    """Tell whether a line or sentence is in the text several times."""
    parts = Counter(part.strip() for part in re.split(r"\n|(?<=[.!?])\s", text))
    return any(count >= REPEATS for part, count in parts.items() if len(part) >= SHORTEST)


def in_a_loop(ids: list[int]) -> bool:
    """Tell whether an answer would have been broken off."""
    detector = LoopDetector()
    return any(list(map(detector.feed, ids)))


def answer_all(
    llm: Llama, questions: list[str], seeds: int, most: int, parallel: int, options: dict[str, Any]
) -> Iterator[Answer]:
    """Yield answers as they are ready."""
    scheduler = llm.scheduler(parallel)
    waiting = [(question, seed) for seed in range(seeds) for question in questions]
    running: dict[Generation, tuple[str, int, list[Piece]]] = {}
    while waiting or running:
        while waiting and scheduler.free:
            question, seed = waiting.pop(0)
            ids = llm.encode_chat([{"role": "user", "content": question}])
            generation = llm.generation(ids, max_tokens=most, **{**options, "seed": seed})
            running[generation] = (question, seed, [])
            scheduler.add(generation)
        for generation, piece in scheduler.step():
            if not isinstance(piece, Piece):
                raise piece
            question, seed, pieces = running[generation]
            pieces.append(piece)
            if generation.finished:
                del running[generation]
                text = "".join(piece.text for piece in pieces)
                ended = piece.stats.finish_reason == "stop"
                yield Answer(question, seed, [piece.id for piece in pieces], text, ended)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@model_option
@click.option("--questions", type=click.IntRange(1, 200), default=200, show_default=True, help="How many of the 200.")
@click.option("--seeds", type=click.IntRange(1), default=5, show_default=True, help="Answers to each question.")
@click.option("--most", type=int, default=1024, show_default=True, help="Tokens after which an answer runs away.")
@click.option("--parallel", type=int, default=32, show_default=True, help="Answers at a time.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the answers as lines of JSON.")
@sampler_options
def main(model: str, questions: int, seeds: int, most: int, parallel: int, output: Path | None, **options: Any) -> None:
    """Answer questions, and count runaways and repeats."""
    every = [form.format(thing) for thing in THINGS for form in FORMS][:: 200 // questions][:questions]
    with Llama.load(model, context=most + 256) as llm:
        answers = list(answer_all(llm, every, seeds, most, parallel, given(options)))
    if output is not None:
        output.write_text("".join(json.dumps(vars(answer)) + "\n" for answer in answers), encoding="utf-8")
    count = len(answers)
    runaways = sum(not answer.ended for answer in answers)
    repeating = sum(repeats(answer.text) for answer in answers)
    loops = [answer for answer in answers if in_a_loop(answer.ids)]
    false = sum(answer.ended for answer in loops)
    tokens = sum(len(answer.ids) for answer in answers) / count
    click.echo(
        f"{count} answers of {tokens:.0f} tokens on average: {runaways} ran away ({runaways / count:.1%}), "
        f"{repeating} repeat themselves ({repeating / count:.1%})"
    )
    click.echo(f"LoopDetector would have ended {len(loops)}, of which {false} came to an end by themselves")


if __name__ == "__main__":
    main()
