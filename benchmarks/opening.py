"""How long a model of 128k tokens takes to open, in each layout: random weights in the shape of Llama 3.2 1B, in BF16.

Opening is what comes before the weights are used: files are mapped and checked, and the tokenizer is made. Loading
hands the weights to the engine as well. Each round is a process of its own, whose imports are counted apart.
The files (8 GB) are made once, in the model cache; to make them takes some 10 GB of memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "support")]

from conftest import LLAMA3_TOKENIZER  # noqa: E402
from pth_files import write_pth  # noqa: E402
from safetensors_files import CHECKPOINTS, change_json, write_safetensors  # noqa: E402

from pyllama3.analysis.bench.synthetic import SHAPES, synthetic_weights  # noqa: E402
from pyllama3.files import cache_dir  # noqa: E402
from pyllama3.store.find import pull_packaged  # noqa: E402
from pyllama3.tokenizer.vocabulary import gguf_metadata  # noqa: E402
from pyllama3.tokenizer.vocabulary.meta import read_tokenizer_model  # noqa: E402
from pyllama3.weights import load_weights  # noqa: E402
from pyllama3.weights.convert.convert import convert  # noqa: E402
from pyllama3.weights.convert.mixtures import MIXTURES  # noqa: E402
from pyllama3.weights.formats import huggingface, meta  # noqa: E402

SHAPE = "llama3.2-1b"
CONFIG = SHAPES[SHAPE].config
STEPS = ("imports", "open", "load")
WORKER = """
import json, sys, time
steps = [(time.perf_counter(), time.process_time())]
def end_step():
    steps.append((time.perf_counter(), time.process_time()))
from pyllama3 import Llama
from pyllama3.bench.memory import peak_memory
from pyllama3.tokenizer import Tokenizer
from pyllama3.weights import load_weights
end_step()
weights = load_weights(sys.argv[1])
Tokenizer(weights.load_vocabulary())
end_step()
memory = peak_memory()
del weights
llm = Llama.load(sys.argv[1])
end_step()
print(json.dumps({"steps": steps, "memory": memory}))
"""


def make_meta(directory: Path) -> None:
    """Write Meta's layout, in which the output matrix is stored although it is the embedding."""
    tensors = arrays(meta._NAMES, meta._LAYER_NAMES, "layers.")
    write_pth(directory / "consolidated.00.pth", tensors | {"output.weight": tensors["tok_embeddings.weight"]})
    (directory / "tokenizer.model").symlink_to(pull_packaged(LLAMA3_TOKENIZER).path)
    sizes = {"dim": CONFIG.dim, "n_layers": CONFIG.layers, "n_heads": CONFIG.heads, "n_kv_heads": CONFIG.kv_heads}
    others = {"vocab_size": CONFIG.vocab_size, "ffn_dim_multiplier": 1.5, "use_scaled_rope": True}
    (directory / "params.json").write_text(json.dumps(sizes | others))


def make_huggingface(directory: Path) -> None:
    """Write Hugging Face's layout; what is not a number is that of a small checkpoint of the tests."""
    tensors = arrays(huggingface._NAMES, huggingface._LAYER_NAMES, "model.layers.")
    write_safetensors(directory / "model.safetensors", tensors)
    small = CHECKPOINTS / "huggingface-tied-bf16"
    (directory / "config.json").write_text((small / "config.json").read_text())
    sizes = {"hidden_size": CONFIG.dim, "intermediate_size": CONFIG.hidden_dim, "vocab_size": CONFIG.vocab_size}
    heads = {"num_attention_heads": CONFIG.heads, "num_key_value_heads": CONFIG.kv_heads, "head_dim": CONFIG.head_dim}
    others = {"num_hidden_layers": CONFIG.layers, "bos_token_id": 128000, "eos_token_id": [128001, 128008, 128009]}
    change_json(directory / "config.json", sizes | heads | others)
    vocabulary = read_tokenizer_model(pull_packaged(LLAMA3_TOKENIZER).path)
    metadata = gguf_metadata(vocabulary, len(vocabulary.tokens))
    names = metadata["tokenizer.ggml.tokens"][: -len(vocabulary.special)]
    merges = [merge.split(" ") for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = json.loads((small / "tokenizer.json").read_text("utf-8"))
    tokenizer["model"] |= {"vocab": {name: id for id, name in enumerate(names)}, "merges": merges}
    tokenizer["added_tokens"] = [
        {"id": id, "content": name, "special": True} for name, id in vocabulary.special.items()
    ]
    (directory / "tokenizer.json").write_text(json.dumps(tokenizer, indent=2, ensure_ascii=False), "utf-8")


def arrays(names: Mapping[str, str], layer_names: Mapping[str, str], layers: str) -> dict[str, Any]:
    """Return random weights under the names of another format."""
    theirs = {ours.removesuffix(".weight"): name.removesuffix(".weight") for name, ours in names.items()}
    theirs_in_layer = {ours: name for name, ours in layer_names.items()}
    result = {}
    for tensor in synthetic_weights(SHAPE, "BF16").tensors.values():
        parts = tensor.name.split(".")
        in_layer = len(parts) == 4
        name = f"{layers}{parts[1]}.{theirs_in_layer[parts[2]]}" if in_layer else theirs[parts[0]]
        bits = tensor.data.view(np.uint16) if len(tensor.shape) == 2 else tensor.data.view(np.uint16)[1::2]
        result[f"{name}.weight"] = bits.reshape(tensor.shape)
    return result


def make(name: str) -> Path:
    """Return a model, which is made if it is not there yet."""
    target = cache_dir() / "benchmarks" / f"opening-{name}"
    done = target / "done"
    if not done.exists():
        click.echo(f"making {target}", err=True)
        target.mkdir(parents=True, exist_ok=True)
        if name == "gguf":
            convert(load_weights(make("meta")), target / "model.gguf", MIXTURES["BF16"])
        else:
            {"meta": make_meta, "huggingface": make_huggingface}[name](target)
        done.touch()
    return target / "model.gguf" if name == "gguf" else target


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("models", nargs=-1)
@click.option("-r", "--rounds", type=int, default=5, show_default=True)
def main(models: tuple[str, ...], rounds: int) -> None:
    """Print medians for MODELS, by default for one in each layout."""
    for model in models or [str(make(name)) for name in ("gguf", "huggingface", "meta")]:
        command = [sys.executable, "-c", WORKER, model]
        results = [
            json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout) for _ in range(rounds)
        ]
        click.echo(model)
        for n, step in enumerate(STEPS):
            wall, cpu = (
                statistics.median(result["steps"][n + 1][clock] - result["steps"][n][clock] for result in results)
                for clock in range(2)
            )
            click.echo(f"  {step:8} {wall:.3f} s, {cpu:.3f} s of processor time")
        click.echo(f"  resident memory when open: {statistics.median(r['memory'] for r in results) / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
