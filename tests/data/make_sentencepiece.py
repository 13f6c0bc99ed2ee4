"""Write sentencepiece.json: a small vocabulary trained by Google's sentencepiece, and the ids it gives to texts.

pip install '.[witness]'
python tests/data/make_sentencepiece.py
"""

from __future__ import annotations

import io
import json
import random
from importlib.metadata import version
from pathlib import Path

import sentencepiece

OUTPUT = Path(__file__).with_name("sentencepiece.json")
VOCAB_SIZE = 400
CORPUS = (
    "Once upon a time, there was a little model named Tim. Tim liked to read stories and to write the next word.\n"
    'One day, Tim found a very long story in the park. "Can you read it?" asked his friend, the big red tokenizer.\n'
    "They read it together, word by word, and when they came to the end they were happy. 1234567890  café naïve über\n"
)
CHARACTERS = "  aeionrst,.!?\"'\n\t12éü漢字😀▁<>xX0AF_-\u0301\x00"
WORDS = ["Once upon a time", " Tim", "  ", "the", " story", "漢字", "<0x0A>", "<s>", "</s>", "read it", "é", "\n\n"]


def varied_texts(count: int) -> list[str]:
    """Return seeded random texts of odd characters and of words."""
    rng = random.Random(1)
    texts = ["", " ", "Once upon a time", " leading and  double  spaces ", "line\nline\n", "▁", CORPUS]
    for _ in range(count):
        texts.append("".join(rng.choices(CHARACTERS, k=rng.randint(1, 25))))
        texts.append("".join(rng.choices(WORDS, k=rng.randint(1, 8))))
    return [text.replace("\x00", "") for text in texts]


def main() -> None:
    """Train, encode and write."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(CORPUS.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(processor.vocab_size())
    document = {
        "oracle": f"sentencepiece {version('sentencepiece')}, as Llama 2 uses it: BPE, bytes, no normalization",
        "pieces": [processor.id_to_piece(id) for id in ids],
        "scores": [processor.get_score(id) for id in ids],
        "bytes": [id for id in ids if processor.is_byte(id)],
        "cases": [[text, processor.encode(text)] for text in varied_texts(300)],
    }
    OUTPUT.write_text(json.dumps(document, indent=None, ensure_ascii=False), encoding="utf-8")
    print(f"wrote {OUTPUT}: {len(ids)} pieces")


if __name__ == "__main__":
    main()
