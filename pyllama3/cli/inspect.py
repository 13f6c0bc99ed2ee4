"""`pyllama3 inspect`: what is inside a model."""

from __future__ import annotations

import json
import math
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..foreign import printable
from .options import MODEL, offline_option
from .output import say
from .sizes import size_text

if TYPE_CHECKING:
    from ..weights import Weights

_WIDTH = 80
_HALF = 2
"""Bytes of a number in the key/value cache, which is kept in half precision."""


@click.command("inspect", short_help="Show what is inside a model.")
@click.argument("model", type=MODEL)
@click.option("-c", "--context", type=int, metavar="N", help="Tokens of context to tell the memory for.")
@click.option("--tensors", "with_tensors", is_flag=True, help="List every tensor.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@offline_option
def command(model: str, context: int | None, with_tensors: bool, as_json: bool) -> None:
    """Show the format, shape, types, tokenizer and chat template of MODEL, and the memory it needs.

    MODEL is a file, a directory, an alias, hf:org/repo[:file] or a URL.
    """
    from ..errors import OptionError
    from ..model_files import DEFAULT_CONTEXT
    from ..store.find import pull
    from ..weights import load_weights
    from .progress import download_progress

    with download_progress(model) as progress:
        found = pull(model, progress=progress)
    weights = load_weights(found.path)
    most = weights.config.context
    if context is not None and not 1 <= context <= most:
        raise OptionError(f"context is {context}; allowed for this model: 1 to {most}")
    report = _report(weights, found.sampling, context or min(most, DEFAULT_CONTEXT))
    if with_tensors:
        report["tensors"] = list(_tensors(weights))
    if as_json:
        say(json.dumps(report, indent=1, ensure_ascii=False))
    else:
        say("\n".join(_lines(report)))


def _report(weights: Weights, sampling: Mapping[str, Any], context: int) -> dict[str, Any]:
    from ..weights import format_name

    config = weights.config
    shape = asdict(config)
    factors = shape.pop("rope_factors")
    rope = {"theta": shape.pop("rope_theta"), "pairs": shape.pop("rope_style").name.lower().replace("_", "-")}
    if factors is not None:
        rope |= {"divisors": factors, "magnitude": config.rope_magnitude}
    del shape["rope_magnitude"]
    cache = 2 * config.layers * config.kv_dim * context * _HALF
    stored = sum(tensor.nbytes for tensor in weights.tensors.values())
    return {
        "path": str(weights.path),
        "format": format_name(Path(weights.path)),
        "architecture": "llama",
        "name": shape.pop("name"),
        "parameters": weights.parameters,
        "shape": shape | {"tied": "output.weight" not in weights.tensors},
        "rope": rope,
        "tokenizer": _tokenizer(weights),
        "chat_template": _template(weights),
        "sampling": {**sampling, **weights.load_sampling()},
        "assumed": _assumed(weights),
        "types": list(_types(weights)),
        "memory": {"context": context, "weights": stored, "cache": cache},
    }


def _tokenizer(weights: Weights) -> dict[str, Any]:
    from ..errors import TokenizerError
    from ..tokenizer.vocabulary import BytePairs

    try:
        vocabulary = weights.load_vocabulary()
    except TokenizerError as error:
        return {"error": str(error)}
    kind = "byte-level BPE" if isinstance(vocabulary.algorithm, BytePairs) else "SentencePiece BPE"

    def token(id: int | None) -> dict[str, Any] | None:
        return None if id is None else {"id": id, "name": vocabulary.name(id)}

    return {
        "kind": kind,
        "tokens": len(vocabulary.tokens),
        "special": len(vocabulary.special),
        "bos": token(vocabulary.bos_id),
        "eos": token(vocabulary.eos_id),
        "stop": [token(id) for id in sorted(vocabulary.stop_ids)],
        "add_bos": vocabulary.add_bos,
    }


def _assumed(weights: Weights) -> list[str]:
    """Return what the files do not say, or say in two ways."""
    from ..errors import TokenizerError

    try:
        return [*weights.assumed, *weights.load_vocabulary().assumed]
    except TokenizerError:
        return list(weights.assumed)


def _template(weights: Weights) -> dict[str, Any]:
    from ..errors import TemplateError, TokenizerError
    from ..tokenizer.chat_template import find_template

    try:
        sources = weights.load_templates()
        template = find_template(sources, weights.load_vocabulary())
        if template is not None:
            template.check()
    except (TemplateError, TokenizerError) as error:
        return {"error": str(error)}
    if template is None:
        return {"origin": "none"}
    markers = {"<|start_header_id|>": "Llama 3", "<|im_start|>": "ChatML", "[INST]": "Llama 2"}
    known = [name for marker, name in markers.items() if marker in template.source]
    return {
        "origin": "model" if sources else "built in",
        "names": list(template.names),
        "kind": known[0] if known else "other",
        "characters": len(template.source),
    }


def _types(weights: Weights) -> Iterator[dict[str, Any]]:
    """Yield the types, the one with the most data first."""
    groups: dict[str, dict[str, Any]] = {}
    for tensor in weights.tensors.values():
        group = groups.setdefault(
            tensor.type.name, {"type": tensor.type.name, "tensors": 0, "parameters": 0, "bytes": 0}
        )
        group["tensors"] += 1
        group["parameters"] += math.prod(tensor.shape)
        group["bytes"] += tensor.nbytes
    yield from sorted(groups.values(), key=lambda group: -int(group["bytes"]))


def _tensors(weights: Weights) -> Iterator[dict[str, Any]]:
    for tensor in weights.tensors.values():
        yield {"name": tensor.name, "type": tensor.type.name, "shape": tensor.shape, "bytes": tensor.nbytes}


def _lines(report: dict[str, Any]) -> Iterator[str]:
    rows = list(_rows(report))
    width = max(len(name) for name, _ in rows) + 2
    for name, value in rows:
        parts = textwrap.wrap(printable(value), _WIDTH - width, break_on_hyphens=False) or [""]
        yield f"{name:{width}}{parts[0]}"
        yield from (" " * width + part for part in parts[1:])
    yield ""
    yield f"{'type':8}{'tensors':>9}{'parameters':>18}{'size':>12}"
    for group in report["types"]:
        yield f"{group['type']:8}{group['tensors']:9}{group['parameters']:18,}{size_text(group['bytes']):>12}"
    if "tensors" in report:
        yield ""
        yield f"{'tensor':32}{'type':8}{'shape':>20}{'size':>12}"
        for tensor in report["tensors"]:
            shape = " x ".join(map(str, tensor["shape"]))
            yield f"{printable(tensor['name']):32}{tensor['type']:8}{shape:>20}{size_text(tensor['bytes']):>12}"


def _rows(report: dict[str, Any]) -> Iterator[tuple[str, str]]:
    shape, rope, memory = report["shape"], report["rope"], report["memory"]
    yield "model", report["path"]
    yield "format", f"{report['format']}, architecture {report['architecture']}"
    yield "name", report["name"]
    yield "parameters", f"{report['parameters']:,}"
    yield "layers", f"{shape['layers']}, dim {shape['dim']}, hidden_dim {shape['hidden_dim']}"
    yield "heads", f"{shape['heads']} of {shape['head_dim']}, {shape['kv_heads']} for keys and values"
    yield "vocabulary", f"{shape['vocab_size']} rows, output {'tied' if shape['tied'] else 'untied'}"
    yield "context", f"{shape['context']} tokens"
    scaling = ""
    if "divisors" in rope:
        scaling = f", angles divided by {min(rope['divisors']):g} to {max(rope['divisors']):g}"
        if rope["magnitude"] != 1:
            scaling += f", magnitude {rope['magnitude']:g}"
    yield "RoPE", f"theta {rope['theta']:g}, {rope['pairs']} pairs{scaling}"
    yield from _tokenizer_rows(report["tokenizer"])
    yield "chat template", _template_text(report["chat_template"])
    recommended = ", ".join(f"{name} {value:g}" for name, value in report["sampling"].items())
    yield "sampling", recommended or "no recommendation"
    for number, line in enumerate(report["assumed"]):
        yield "" if number else "assumed", line
    yield "memory", f"weights {size_text(memory['weights'])}"
    yield "", f"KV cache {size_text(memory['cache'])} for {memory['context']} tokens in half precision"


def _tokenizer_rows(tokenizer: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "error" in tokenizer:
        yield "tokenizer", f"unusable: {tokenizer['error']}"
        return

    def named(token: dict[str, Any] | None) -> str:
        return "none" if token is None else f"{token['id']} {token['name']}"

    yield "tokenizer", f"{tokenizer['kind']}, {tokenizer['tokens']} tokens, {tokenizer['special']} of them special"
    yield "BOS", named(tokenizer["bos"]) + ("" if tokenizer["add_bos"] else " (not put in front of texts)")
    yield "EOS", named(tokenizer["eos"])
    yield "stop", ", ".join(map(named, tokenizer["stop"])) or "none"


def _template_text(template: dict[str, Any]) -> str:
    if "error" in template:
        return f"unusable: {template['error']}"
    if template["origin"] == "none":
        return "none"
    if template["origin"] == "built in":
        return f"none of its own; {template['kind']} is built in"
    others = [name for name in template["names"] if name != "default"]
    named = f"; others: {', '.join(others)}" if others else ""
    return f"{template['kind']}, {template['characters']} characters{named}"
