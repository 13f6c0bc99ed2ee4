"""What is drilled: for each reader a folder of good files, which of them are mutated and how, and what reads them.

To add a reader: a function that writes good files, one that reads them, and a row of `READERS`.
"""

from __future__ import annotations

import io
import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command_lines import odd_case, run_case, write_places
from gguf_files import write_llama
from llama2c_files import write as write_llama2c
from mutations import mutated_bytes, mutated_json, mutated_lines, mutated_safetensors
from pth_files import write_pth
from safetensors_files import CHECKPOINTS
from sentence_pieces import METADATA
from tiny_models import write_tiny
from variants_hf import sentencepiece_model

from pyllama3 import Llama
from pyllama3.conversation import read_messages
from pyllama3.errors import PyLlama3Error
from pyllama3.generation.constraint import json_schema, regex
from pyllama3.generation.prompt_cache import load_prompt, save_prompt
from pyllama3.server.batch import run_batch

Mutation = Callable[[bytes, random.Random], bytes]
MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi <|eot_id|>"}]


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader: `write` makes good files in an empty folder, `read` reads them and raises nothing but our errors."""

    write: Callable[[Path], None]
    files: Mapping[str, Mutation]
    read: Callable[[Path], None]


def use(path: Path) -> None:
    """Load a model, and do with it what there is to do."""
    with Llama.load(path, backend="c", threads=1) as llm:
        ids = llm.encode_prompt("Hello <|eot_id|> wörld \x00 12345")[:16]
        llm.tokenizer.decode(ids)
        try:
            if llm.template is not None:
                llm.encode_chat(MESSAGES)
        except PyLlama3Error:
            pass
        with llm.session() as session:
            session.feed(ids[: llm.context])
        for _ in llm.generate(ids[:4], max_tokens=2, seed=1):
            pass


def _file(name: str) -> Callable[[Path], None]:
    return lambda folder: use(folder / name)


def _copy(checkpoint: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        shutil.copytree(CHECKPOINTS / checkpoint, folder, dirs_exist_ok=True)

    return write


def _write_pickled(folder: Path) -> None:
    """Make model.safetensors a pytorch_model.bin."""
    from pyllama3.weights.formats.safetensors import read_safetensors

    _copy("huggingface-tied-bf16")(folder)
    tensors = read_safetensors(folder / "model.safetensors")
    write_pth(folder / "pytorch_model.bin", {name: tensor.dequantize() for name, tensor in tensors.items()})
    (folder / "model.safetensors").unlink()


def _write_pieces(is_unigram: bool) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        _copy("huggingface-tied-bf16")(folder)
        (folder / "tokenizer.json").unlink()
        (folder / "tokenizer_config.json").write_text("{}")
        (folder / "tokenizer.model").write_bytes(sentencepiece_model(is_unigram))

    return write


def _write_llama2c(folder: Path) -> None:
    write_llama2c(folder, tied=True, bf16=False)


def _write_with_model(name: str, content: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        write_tiny(folder / "m.gguf", context=128, layers=1)
        (folder / name).write_bytes(content)

    return write


def _model(folder: Path) -> Llama:
    return Llama.load(folder / "m.gguf", backend="c", threads=1, precision="exact")


def _write_prompt(folder: Path) -> None:
    write_tiny(folder / "m.gguf", context=128, layers=1)
    with _model(folder) as llm, llm.session() as session:
        session.feed([1, 2, 3])
        save_prompt(folder / "prompt", session, 3)


def _read_prompt(folder: Path) -> None:
    with _model(folder) as llm, llm.session() as session:
        load_prompt(folder / "prompt", session)
        session.feed([4])


def _read_talk(folder: Path) -> None:
    messages = read_messages(folder / "talk.json")
    with _model(folder) as llm:
        llm.encode_chat(messages)


def _answer_lines(folder: Path) -> None:
    """Answer requests: each gets an answer, none of them by a fault of ours, also when the batch goes on."""
    target = folder / "out.jsonl"
    target.unlink(missing_ok=True)
    with _model(folder) as llm:
        for _ in range(2):
            counts = run_batch(llm, folder / "in.jsonl", target)
            assert counts.done == counts.total
    answers = [json.loads(line) for line in io.BytesIO(target.read_bytes())]
    assert all(answer["response"]["status_code"] in (200, 400) for answer in answers), target.read_text("utf-8")
    assert len(answers) == counts.total


def _go_on(folder: Path) -> None:
    """Go on with answers that are damaged: they are refused, or what is whole of them stays."""
    before = (folder / "out.jsonl").read_bytes()
    with _model(folder) as llm:
        try:
            run_batch(llm, folder / "in.jsonl", folder / "out.jsonl")
        except PyLlama3Error:
            assert (folder / "out.jsonl").read_bytes() == before
            raise
    assert (folder / "out.jsonl").read_bytes().startswith(before[: before.rfind(b"\n") + 1])


def _write_answers(folder: Path) -> None:
    _write_with_model("in.jsonl", REQUESTS)(folder)
    with _model(folder) as llm:
        run_batch(llm, folder / "in.jsonl", folder / "out.jsonl")


def _render(folder: Path) -> None:
    with Llama.load(
        folder / "m.gguf", backend="c", threads=1, chat_template=(folder / "t.jinja").read_text("utf-8", "replace")
    ) as llm:
        llm.encode_chat(MESSAGES)


def _constrain(folder: Path) -> None:
    with _model(folder) as llm:
        for make in (json_schema, regex):
            try:
                for _ in llm.generate(
                    [1], grammar=make((folder / "schema").read_text("utf-8", "replace")), max_tokens=2
                ):
                    pass
            except PyLlama3Error:
                pass


def _requests() -> bytes:
    chat: dict[str, Any] = {
        "messages": MESSAGES,
        "max_tokens": 3,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 2,
    }
    text = {"prompt": "Hi", "max_tokens": 3, "top_p": 0.9, "top_k": 5, "min_p": 0.1, "stop": ["x"], "logprobs": 1}
    text |= {"repeat_penalty": 1.1, "presence_penalty": 0.5, "frequency_penalty": 0.5, "seed": 1}
    text |= {"logit_bias": {"7": -1}, "response_format": {"type": "json_object"}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
    bodies = [("chat/completions", chat), ("completions", text), ("chat/completions", chat | {"tools": tools})]
    lines = [
        {"custom_id": f"r{n}", "method": "POST", "url": f"/v1/{url}", "body": body}
        for n, (url, body) in enumerate(bodies)
    ]
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


REQUESTS = _requests()
TEMPLATE = (
    b"{% for m in messages %}<|start_header_id|>{{ m.role | upper }}{{ m['content'].split('x')[-1] | trim }}"
    b"{% if loop.last and not m.tools %}{{ strftime_now('%Y') }}{% endif %}{{ m | tojson(indent=2) }}{% endfor %}"
    b"{% macro f(x) %}{{ x * 3 }}{% endmacro %}{{ f('a') }}{% set ns = namespace(n=1 + 2 ** 3) %}{{ '%s' % ns.n }}"
)
SCHEMA = {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}, "b": {"enum": ["x"]}}}

HUGGINGFACE = ("config.json", "tokenizer.json", "tokenizer_config.json", "generation_config.json")
READERS = {
    "gguf": Reader(write=lambda folder: _gguf(folder), files={"m.gguf": mutated_bytes}, read=_file("m.gguf")),
    "gguf-sentencepiece": Reader(
        write=lambda folder: _gguf_pieces(folder), files={"m.gguf": mutated_bytes}, read=_file("m.gguf")
    ),
    "huggingface": Reader(
        write=_copy("huggingface-tied-bf16"),
        files=dict.fromkeys(HUGGINGFACE, mutated_json),
        read=lambda folder: use(folder),
    ),
    "pieces": Reader(
        write=_write_pieces(False), files={"tokenizer.model": mutated_bytes}, read=lambda folder: use(folder)
    ),
    "pieces-unigram": Reader(
        write=_write_pieces(True), files={"tokenizer.model": mutated_bytes}, read=lambda folder: use(folder)
    ),
    "safetensors": Reader(
        write=_copy("huggingface-tied-bf16"),
        files={"model.safetensors": mutated_safetensors},
        read=lambda folder: use(folder),
    ),
    "shards": Reader(
        write=_copy("huggingface-sharded-f32"),
        files={"model.safetensors.index.json": mutated_json},
        read=lambda folder: use(folder),
    ),
    "pytorch": Reader(
        write=_write_pickled, files={"pytorch_model.bin": mutated_bytes}, read=lambda folder: use(folder)
    ),
    "meta": Reader(
        write=_copy("meta-f16"),
        files={"params.json": mutated_json, "consolidated.00.pth": mutated_bytes, "tokenizer.model": mutated_bytes},
        read=lambda folder: use(folder),
    ),
    "llama2c": Reader(
        write=_write_llama2c,
        files={"stories.bin": mutated_bytes, "tokenizer.bin": mutated_bytes},
        read=_file("stories.bin"),
    ),
    "prompt-cache": Reader(write=_write_prompt, files={"prompt": mutated_bytes}, read=_read_prompt),
    "conversation": Reader(
        write=_write_with_model("talk.json", json.dumps({"messages": MESSAGES}).encode()),
        files={"talk.json": mutated_json},
        read=_read_talk,
    ),
    "requests": Reader(
        write=_write_with_model("in.jsonl", REQUESTS), files={"in.jsonl": mutated_lines}, read=_answer_lines
    ),
    "answers": Reader(write=_write_answers, files={"out.jsonl": mutated_lines}, read=_go_on),
    "template": Reader(write=_write_with_model("t.jinja", TEMPLATE), files={"t.jinja": mutated_bytes}, read=_render),
    "command-lines": Reader(write=write_places, files={"case.json": odd_case}, read=run_case),
    "grammar": Reader(
        write=_write_with_model("schema", json.dumps(SCHEMA).encode()), files={"schema": mutated_json}, read=_constrain
    ),
}


def _gguf(folder: Path) -> None:
    write_llama(folder / "m.gguf", {"tokenizer.chat_template": TEMPLATE.decode()})


def _gguf_pieces(folder: Path) -> None:
    from gguf_files import llama_metadata, write_gguf
    from sentence_pieces import PIECES
    from tiny_models import random_tensors, tiny_config

    config = tiny_config(vocab_size=len(PIECES))
    metadata = {key: value for key, value in llama_metadata().items() if not key.startswith("tokenizer.")}
    write_gguf(folder / "m.gguf", metadata | METADATA, random_tensors(config, 1, tied=True))
