"""`Llama`: loading, what it refuses, prompts and chats.

The witness is a model that says what its script tells it. To add a case: arguments of `load` with what they lead to.
"""

from __future__ import annotations

import gc
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from engines import built_engine
from gguf_files import LLAMA3_SPECIAL, VOCAB_SIZE, write_llama
from scripted import END, IDS, START, script, write_scripted

import pyllama3
from pyllama3 import Llama, PyLlama3Error
from pyllama3.backends import BACKENDS, Engine
from pyllama3.errors import BackendError, ContextError, OptionError, StoreError, TemplateError, WeightsError

ANSWER = "hello worldé"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chat model that always answers ANSWER."""
    path = tmp_path_factory.mktemp("scripted") / "chat.gguf"
    return write_scripted(path, script("hello", " world", "é", "<|eot_id|>"), context=256)


@pytest.fixture
def llm(engine: Engine, path: Path) -> Llama:
    return Llama.load(path, backend=engine.name, threads=1)


def base_model(path: Path) -> Path:
    """Write a model whose texts end with end_of_text, as those of base models do."""
    end_of_text = VOCAB_SIZE - len(LLAMA3_SPECIAL) + LLAMA3_SPECIAL.index("<|end_of_text|>")
    return write_llama(path, {"tokenizer.ggml.eos_token_id": end_of_text, "tokenizer.ggml.add_bos_token": False})


def test_the_package_exports_what_it_says() -> None:
    assert all(hasattr(pyllama3, name) for name in pyllama3.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Lama'"):
        _ = pyllama3.Lama


def test_load(llm: Llama, engine: Engine) -> None:
    assert (llm.backend, llm.threads, llm.context) == (engine.name, 1, 256)
    assert (llm.config.dim, llm.config.vocab_size) == (128, 288)
    assert llm.tokenizer.vocab_size == 288


def test_by_default_the_fastest_backend_and_all_cores(path: Path) -> None:
    built_engine("c")
    with Llama.load(str(path)) as llm:
        assert llm.backend == BACKENDS[0] == "c"
        assert llm.threads >= 1


@pytest.mark.parametrize(("context", "expected"), [(None, 4096), (1, 1), (5000, 5000)])
def test_context(engine: Engine, tmp_path: Path, context: int | None, expected: int) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("hello"), context=5000)
    with Llama.load(path, backend=engine.name, context=context) as llm:
        assert llm.context == llm.session().context == expected


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"backend": "cuda"}, BackendError, "backend 'cuda' is unknown; known: c, wasm, python"),
        ({"context": 257}, OptionError, "context is 257; allowed for this model: 1 to 256"),
        ({"context": 0}, OptionError, "context is 0; allowed"),
        ({"context": -1}, OptionError, "context is -1; allowed"),
        ({"threads": 0}, OptionError, "threads is 0; allowed: 1 to 1024"),
        ({"threads": 1025}, OptionError, "threads is 1025; allowed: 1 to 1024"),
        ({"model": "no/such.gguf"}, StoreError, "no/such.gguf"),
        ({"model": __file__}, WeightsError, f"{__file__}: starts with"),
    ],
    ids=str,
)
def test_load_refuses(path: Path, arguments: dict[str, object], error: type[PyLlama3Error], message: str) -> None:
    with pytest.raises(error) as caught:
        Llama.load(**{"model": path, "backend": "python", **arguments})  # type: ignore[arg-type]
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("backend", [None, *BACKENDS])
def test_without_a_build_loading_tells_how_to_get_one(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, backend: str | None
) -> None:
    monkeypatch.setenv("PYLLAMA3_BUILD", str(tmp_path))
    with pytest.raises(BackendError, match=rf"{tmp_path}.* is missing; run 'invoke build.*'"):
        Llama.load(path, backend=backend)


def test_generate_continues_text_or_tokens(llm: Llama) -> None:
    for prompt in ("hi\n\n", [START]):
        pieces = list(llm.generate(prompt, temperature=0))
        assert "".join(piece.text for piece in pieces) == ANSWER
        assert pieces[-1].id == END


def test_a_text_begins_with_one_bos(llm: Llama) -> None:
    assert llm.encode_prompt("hello") == [IDS["<|begin_of_text|>"], IDS["hello"]]
    assert llm.encode_prompt("<|begin_of_text|>hello<|eot_id|>") == [*llm.encode_prompt("hello"), IDS["<|eot_id|>"]]
    assert IDS["<|eot_id|>"] not in llm.encode_prompt("<|eot_id|>", special=False)
    ids = llm.encode_chat([{"role": "user", "content": "hello"}])
    assert ids.count(IDS["<|begin_of_text|>"]) == 1


def test_chat_answers(llm: Llama) -> None:
    messages = [{"role": "system", "content": "Be a llama."}, {"role": "user", "content": "hello"}]
    pieces = list(llm.chat(messages, temperature=0))
    assert "".join(piece.text for piece in pieces) == ANSWER
    assert pieces[0].stats.prompt_tokens == len(llm.encode_chat(messages))
    assert [piece.text for piece in llm.chat(messages, temperature=0, max_tokens=2)] == ["hello", " world"]


def test_chat_goes_on_with_a_message(llm: Llama) -> None:
    messages = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "hello"}]
    ids = llm.encode_chat(messages, continue_final_message=True)
    assert ids == [*llm.encode_chat(messages[:1]), IDS["hello"]]
    pieces = list(llm.chat(messages, continue_final_message=True, temperature=0))
    assert [piece.id for piece in pieces] == [piece.id for piece in llm.generate(ids, temperature=0)]
    assert llm.encode_chat(messages, add_generation_prompt=False)[: len(ids)] == ids


def test_a_base_model_cannot_chat(engine: Engine, tmp_path: Path) -> None:
    path = base_model(tmp_path / "base.gguf")
    with Llama.load(path, backend=engine.name) as llm:
        with pytest.raises(TemplateError, match=f"^{path}: the model has no chat template"):
            llm.chat([{"role": "user", "content": "hello"}])
        assert list(llm.generate("hello", max_tokens=2))


def test_an_empty_prompt_needs_a_token_to_begin_with(engine: Engine, tmp_path: Path, llm: Llama) -> None:
    with pytest.raises(OptionError, match="the prompt is empty"):
        llm.generate([])
    assert next(llm.generate("")).stats.prompt_tokens == 1
    with (
        Llama.load(base_model(tmp_path / "base.gguf"), backend=engine.name) as base,
        pytest.raises(OptionError, match="the prompt is empty, and the model has no token to begin a text with"),
    ):
        base.generate("")


def test_what_is_wrong_is_told_before_a_token_is_asked_for(llm: Llama) -> None:
    with pytest.raises(OptionError, match=r"^unknown option: temprature; known: max_tokens, temperature, top_k, "):
        llm.generate("hello", temprature=1)
    with pytest.raises(OptionError, match=r"^top_p is 2; allowed: "):
        llm.generate("hello", top_p=2)
    with pytest.raises(OptionError, match=r"^token 288 is not in the vocabulary"):
        llm.generate([288])
    with pytest.raises(ContextError, match=r"^2 prompt tokens and 255 more to generate do not fit"):
        llm.generate("hello", max_tokens=255)
    with pytest.raises(TemplateError, match=r"^there are no messages"):
        llm.chat([])


def test_generations_may_run_in_several_threads(llm: Llama) -> None:
    def speak(_: int) -> str:
        return "".join(piece.text for piece in llm.generate([START], temperature=0))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(speak, range(8))) == {ANSWER}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/maps")
def test_a_closed_model_lets_go_of_its_file(engine: Engine, tmp_path: Path) -> None:
    path = write_scripted(tmp_path / "m.gguf", script("hello"))
    with Llama.load(path, backend=engine.name) as llm:
        list(llm.generate([START], max_tokens=1))
        assert str(path) in Path("/proc/self/maps").read_text()
    gc.collect()
    assert str(path) not in Path("/proc/self/maps").read_text()
    llm.close()


def test_a_closed_model_says_so(path: Path) -> None:
    llm = Llama.load(path, threads=1)
    llm.close()
    for use in (llm.session, lambda: llm.config, lambda: llm.generate("x"), lambda: llm.scheduler(1)):
        with pytest.raises(OptionError, match=r"^the model is closed$"):
            use()


def test_the_current_directory_is_a_model_that_is_looked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsError, match=r"config\.json"):
        Llama.load(Path("."))
