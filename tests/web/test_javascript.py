"""Modules of web/ against the host's, which has witnesses of its own, and against Hugging Face; run by node.

To add a case: a text in `texts_for`, which every tokenizer cuts, or a job in run.mjs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chat_templates import load_template
from gguf_files import CHATML_SPECIAL, LLAMA3_SPECIAL, USER_DEFINED, vocabulary
from odd_texts import MIXED, SNIPPETS, varied_texts
from paths import DATA, ROOT
from sentence_pieces import METADATA as SENTENCE_PIECES

from pyllama3.analysis.explain.choices import explain_choice
from pyllama3.backends import is_built
from pyllama3.errors import StoreError
from pyllama3.generation.sampling import SamplerOptions
from pyllama3.tokenizer.chat_template import encode_chat, find_template
from pyllama3.tokenizer.string_array import StringArray
from pyllama3.tokenizer.tokenizer import StreamDecoder, Tokenizer
from pyllama3.tokenizer.vocabulary import read_gguf_vocabulary
from pyllama3.tokenizer.vocabulary.gguf_writer import gguf_metadata
from pyllama3.tokenizer.vocabulary.meta import read_tokenizer_model
from pyllama3.tokenizer.vocabulary.pre_tokenizers import PRE_TOKENIZERS
from pyllama3.weights.formats.gguf import read_gguf
from pyllama3.weights.rope import YarnScaling
from tools.web.facts import read_facts
from tools.web.site import ENGINE, SOURCES

Run = Callable[..., Any]
PREFIX = "tokenizer.ggml."
WITNESS: dict[str, Any] = json.loads((DATA / "chat_renderings.json").read_text("utf-8"))


@pytest.fixture(scope="module")
def run() -> Run:
    """Run a job of run.mjs."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs node: apt install nodejs")
    if not (SOURCES / "node_modules").is_dir() or not is_built("wasm", ROOT / "build"):
        pytest.skip("needs the packages of web/ and the engine as WebAssembly: invoke web")
    facts = read_facts(ENGINE / "llama3.h")

    def run_job(job: str, **argument: Any) -> Any:
        result = subprocess.run(
            [node, Path(__file__).with_name("run.mjs")],
            input=json.dumps({"job": job, "facts": facts, **argument}),
            capture_output=True,
            encoding="utf-8",
        )
        assert result.returncode == 0, result.stderr
        return json.loads(result.stdout)

    return run_job


def vocabulary_keys(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of a vocabulary and a template, as JSON has them."""
    return {
        key: list(value) if isinstance(value, StringArray) else value
        for key, value in metadata.items()
        if key.startswith("tokenizer.")
    }


def texts_for(tokenizer: Tokenizer) -> Iterator[str]:
    names = [*tokenizer.special_names, "<think>", "<|", "|>"]
    yield from varied_texts(tokenizer, 60)
    yield from ("".join(SNIPPETS), MIXED, " ".join(names), "".join(names), "")
    for code in range(0x3100):
        yield f"a {chr(code)}b 1{chr(code)} {chr(code)}"


def check_encoding(run: Run, metadata: Mapping[str, Any]) -> None:
    tokenizer = Tokenizer.from_gguf(metadata)
    texts = list(texts_for(tokenizer))
    keys = vocabulary_keys(metadata)
    for special in (False, True):
        found = run("encode", metadata=keys, texts=texts, special=special)
        for text, ids in zip(texts, found, strict=True):
            assert ids == tokenizer.encode(text, special=special), ascii(text)
    described = run("describe", metadata=keys)
    ids = range(tokenizer.vocab_size)
    assert [bytes(token) for token in described["bytes"]] == [tokenizer.token_bytes(id) for id in ids]
    assert described["special"] == [tokenizer.is_special(id) for id in ids]
    assert described["bos"] == (tokenizer.bos_id if tokenizer.add_bos else None)
    assert set(described["stops"]) == tokenizer.stop_ids


@pytest.mark.parametrize("pre", [pre.names[0] for pre in PRE_TOKENIZERS])
def test_toy_vocabularies(run: Run, pre: str) -> None:
    """With each way to cut a text into pieces."""
    metadata = vocabulary((*LLAMA3_SPECIAL, *CHATML_SPECIAL, "<think>"), pre=pre)
    metadata["tokenizer.ggml.token_type"][-1] = USER_DEFINED
    check_encoding(run, metadata)


def test_vocabularies_that_lack_something(run: Run) -> None:
    check_encoding(run, vocabulary(CHATML_SPECIAL, pre="smollm", bytes_left_out=b"\x00\x04\xf1"))
    for missing in (["merges"], ["token_type", "bos_token_id"], ["pre", "eos_token_id"]):
        check_encoding(
            run, {key: value for key, value in vocabulary().items() if key.removeprefix(PREFIX) not in missing}
        )


def test_sentence_pieces(run: Run) -> None:
    check_encoding(run, SENTENCE_PIECES)
    check_encoding(run, SENTENCE_PIECES | {PREFIX + "add_space_prefix": False})


def test_smollm2(run: Run, smollm2_path: Path) -> None:
    check_encoding(run, read_gguf(smollm2_path).metadata)


def test_llama_3(run: Run, llama3_tokenizer_model: Path) -> None:
    vocabulary = read_tokenizer_model(llama3_tokenizer_model)
    check_encoding(run, gguf_metadata(vocabulary, len(vocabulary.tokens)))


def test_halves_of_surrogate_pairs_become_replacement_characters(run: Run) -> None:
    found = run("encode", metadata=vocabulary(), texts=["a\ud800b", "a\ufffdb"], special=True)
    assert found[0] == found[1]


def test_characters_come_whole(run: Run) -> None:
    metadata = vocabulary()
    tokenizer = Tokenizer.from_gguf(metadata)
    ids = [
        *tokenizer.encode("é😀\ufeff"),
        *tokenizer.encode("😀")[:2],
        *tokenizer.encode("a"),
        tokenizer.encode("é")[0],
    ]
    decoder = StreamDecoder(tokenizer)
    assert run("decode", metadata=metadata, ids=ids) == [*map(decoder.feed, ids), decoder.flush()]


@pytest.mark.parametrize("name", WITNESS["templates"])
def test_templates_render_as_hugging_face_does(run: Run, name: str) -> None:
    try:
        source = load_template(name)
    except StoreError as error:
        pytest.skip(f"needs a template: {error}")
    # the page never lets a message go on
    asked = {key: case for key, case in WITNESS["conversations"].items() if "continue_final_message" not in case}
    found = run(
        "render",
        source=source,
        conversations=list(asked.values()),
        **{key: WITNESS[key] for key in ("bos", "eos", "date")},
    )
    renderings = WITNESS["templates"][name]["renderings"]
    assert dict(zip(asked, found, strict=True)) == {key: renderings[key] for key in asked}


THOUGHTS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role }}\n"
    "{%- if '</think>' in m.content %}{{ m.content.split('</think>')[-1] }}"
    "{% else %}{{ m.content }}{% endif %}<|im_end|>{% endfor %}{{ bos_token ~ pad_token }}"
)


@pytest.mark.parametrize("template", [None, THOUGHTS])
@pytest.mark.parametrize("special", [LLAMA3_SPECIAL, ("</think>", *CHATML_SPECIAL)])
def test_text_of_messages_is_never_a_special_token(run: Run, special: Sequence[str], template: str | None) -> None:
    metadata = vocabulary(tuple(special)) | {PREFIX + "padding_token_id": 5}
    if template:
        metadata["tokenizer.chat_template"] = template
    contents = [*special, "".join(special), "a </think> b", "<|im_end", "x <|eot_id", "<|im_<|im_end|>end|>", "é"]
    conversations = [
        [{"role": "system", "content": content}, {"role": "user", "content": content}] for content in contents
    ]
    tokenizer, known = Tokenizer.from_gguf(metadata), read_gguf_vocabulary(metadata)
    host = find_template({"default": template} if template else {}, known)
    assert host is not None
    expected = [encode_chat(tokenizer, host, messages) for messages in conversations]
    assert run("chat", metadata=metadata, conversations=conversations) == expected


def test_scaled_rotations(run: Run) -> None:
    shape = {"headDim": 64, "theta": 10000.0, "context": 8192}
    plain = {"shape": shape, "tensors": {}, "wanted": 4096}
    prefix = "llama.rope.scaling."
    assert run("rope", metadata={}, **plain) == {"divisors": [1] * 32, "magnitude": 1}
    linear = run("rope", metadata={prefix + "factor": 4.0}, **plain)
    assert linear == {"divisors": [4] * 32, "magnitude": 1}
    yarn = {"type": "yarn", "factor": 8.0, "original_context_length": 1024}
    found = run("rope", metadata={prefix + key: value for key, value in yarn.items()}, **plain)
    scaling = YarnScaling(factor=8, original_context=1024)
    np.testing.assert_allclose(found["divisors"], scaling.divisors(64, 10000.0), rtol=1e-6)
    assert found["magnitude"] == pytest.approx(scaling.magnitude, rel=1e-12)
    factors = {"rope_factors_short.weight": [1.5] * 32, "rope_factors_long.weight": [3.0] * 32}
    metadata = {prefix + "type": "longrope", prefix + "original_context_length": 2048}
    for wanted, expected in ((2048, 1.5), (2049, 3.0)):
        found = run("rope", metadata=metadata, shape=shape, tensors=factors, wanted=wanted)
        assert found["divisors"] == [expected] * 32


def test_choices_are_explained_as_the_host_does(run: Run) -> None:
    rng = np.random.default_rng(5)
    options: list[dict[str, Any]] = [
        {"temperature": 0.0, "repeat_penalty": 1.2},
        {"temperature": 1.0, "top_p": 1.0},
        {"temperature": 0.6},
        {"temperature": 1.7, "top_k": 9, "top_p": 0.8, "min_p": 0.1, "repeat_penalty": 1.4},
    ]
    names = {"top_k": "topK", "top_p": "topP", "min_p": "minP", "repeat_penalty": "repeatPenalty"}
    cases, expected = [], []
    for given in options:
        settings = SamplerOptions(**given)
        for _ in range(8):
            logits = rng.normal(0, 2, 300).astype(np.float32)
            random = float(rng.random()) if settings.temperature else None
            expected.append(explain_choice(logits, logits, [3, 7, 7], settings, random))
            fields = ("temperature", *names)
            case = {names.get(field, field): getattr(settings, field) for field in fields}
            cases.append({"logits": logits.tolist(), "recent": [3, 7, 7], "options": case, "random": random})
    for found, choice in zip(run("choices", cases=cases), expected, strict=True):
        assert (found["id"], found["random"]) == (choice.id, choice.random)
        assert [found["begin"], found["end"]] == pytest.approx([choice.begin, choice.end], abs=1e-9)
        assert [step["survivors"] for step in found["steps"]] == [step.survivors for step in choice.steps]
        for ours, theirs in zip(found["steps"], choice.steps, strict=True):
            assert [best["id"] for best in ours["best"]] == [best.id for best in theirs.best]
            probabilities = [best.probability for best in theirs.best]
            assert [best["probability"] for best in ours["best"]] == pytest.approx(probabilities, rel=1e-5)
