"""The page in headless Chromium: the same seed gives the tokens of `pyllama3 run`, and visitors are told what happens.

To add a case: a text in `TEXTS`, options in `OPTIONS`, or a test that does what a visitor would do.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType
from tiny_models import MERGES, random_tensors, tiny_config, write_gguf, write_tiny

from pyllama3 import Llama

OpenPage = Callable[..., Any]
Serve = Callable[[Path], str]
LoadHost = Callable[[Path], Llama]

TEXTS = (
    "What is the capital of France?",
    "Tell me about <|im_end|> and <|eot_id|>, 'please'!",
    "  Zürich 😀 1234\n\n\tかな  ",
)
OPTIONS: tuple[dict[str, Any], ...] = (
    {"temperature": 0},
    {"temperature": 1.1, "seed": 7},
    {"temperature": 0.9, "seed": 2**40 + 3, "top_k": 40, "top_p": 1, "min_p": 0.02, "repeat_penalty": 1.3},
)
DEFAULTS = {"temperature": 0.6, "top_k": 0, "top_p": 0.9, "min_p": 0, "repeat_penalty": 1, "seed": ""}
FIELDS = {"top_k": "topK", "top_p": "topP", "min_p": "minP", "repeat_penalty": "repeatPenalty"}


def set_options(page: Any, options: dict[str, Any], max_tokens: int) -> None:
    page.evaluate("document.getElementById('options').open = true")
    for name, value in {**DEFAULTS, **options, "maxTokens": max_tokens}.items():
        page.fill(f"#option-{FIELDS.get(name, name)}", str(value))


def open_model(page: Any, path: Path) -> None:
    page.set_input_files("#open", path)
    page.wait_for_selector("#send:enabled")


def ask(page: Any, text: str) -> list[int]:
    """Ask a question, wait for the whole answer, and return its tokens."""
    page.fill("#question", text)
    page.press("#question", "Enter")
    page.wait_for_selector("#send:visible:enabled")
    return list(page.evaluate("tokens"))


def last_answer(page: Any) -> str:
    return str(page.locator("#log .assistant").last.evaluate("element => element.textContent"))


def conversation(llm: Llama, texts: Iterable[str], **options: Any) -> list[tuple[list[int], str]]:
    """Tokens and text of what the host answers."""
    messages: list[dict[str, str]] = []
    answers = []
    for text in texts:
        messages.append({"role": "user", "content": text})
        pieces = list(llm.chat(messages, **options))
        answers.append(([piece.id for piece in pieces], "".join(piece.text for piece in pieces)))
        messages.append({"role": "assistant", "content": answers[-1][1]})
    return answers


def check_conversations(page: Any, llm: Llama, max_tokens: int) -> None:
    """Check that the page gives the same tokens, whatever the options."""
    for options in OPTIONS:
        set_options(page, options, max_tokens)
        for tokens, text in conversation(llm, TEXTS, max_tokens=max_tokens, **options):
            question = TEXTS[page.locator("#log .user").count()]
            assert ask(page, question) == tokens
            assert last_answer(page) == text
        page.click("#clear")


def test_an_opened_file_answers_as_the_host_does(
    site: Path, tiny: Path, open_page: OpenPage, load_host: LoadHost
) -> None:
    """From file://, where no module, no shared memory and no storage can be had."""
    page = open_page((site / "index.html").as_uri())
    open_model(page, tiny)
    assert "1 thread" in page.inner_text("#model-state")
    check_conversations(page, load_host(tiny), 30)


def test_smollm2_answers_as_the_host_does(
    smollm2_path: Path, open_page: OpenPage, serve: Serve, load_host: LoadHost
) -> None:
    """From a server whose headers allow threads."""
    page = open_page(serve(smollm2_path))
    page.wait_for_selector("#send:enabled")
    cores = page.evaluate("navigator.hardwareConcurrency")
    assert f"{min(8, cores // 2 if cores > 2 else cores)} thread" in page.inner_text("#model-state")
    check_conversations(page, load_host(smollm2_path), 12)


def test_smollm2_answers_as_the_fastest_backend_does(smollm2_path: Path, open_page: OpenPage, serve: Serve) -> None:
    """Its sums are rounded in another way, so that a few draws of a thousand are other ones: hence without draws."""
    page = open_page(serve(smollm2_path))
    page.wait_for_selector("#send:enabled")
    set_options(page, {"temperature": 0}, 24)
    with Llama.load(smollm2_path) as llm:
        for (tokens, _), question in zip(
            conversation(llm, TEXTS[:2], temperature=0, max_tokens=24), TEXTS, strict=False
        ):
            assert ask(page, question) == tokens


def test_text_is_continued_as_it_is(site: Path, tiny: Path, open_page: OpenPage, load_host: LoadHost) -> None:
    page = open_page((site / "index.html").as_uri())
    open_model(page, tiny)
    set_options(page, {"temperature": 0}, 20)
    page.check("#raw")
    llm = load_host(tiny)
    for text in ("hello<|eot_id|> world", "é"):
        assert ask(page, text) == [piece.id for piece in llm.generate(text, temperature=0, max_tokens=20)]


@pytest.mark.parametrize("kind", ["F16", "BF16", "Q4_0", "Q5_1", "Q8_0", "Q4_K", "Q6_K", "IQ4_XS", "IQ2_XXS", "TQ1_0"])
def test_types_of_tensors(site: Path, tmp_path: Path, open_page: OpenPage, load_host: LoadHost, kind: str) -> None:
    path = write_tiny(
        tmp_path / "tiny.gguf",
        3,
        GGMLQuantizationType[kind],
        dim=256,
        heads=4,
        head_dim=64,
        hidden_dim=256,
        context=128,
    )
    page = open_page((site / "index.html").as_uri())
    open_model(page, path)
    set_options(page, {"temperature": 0}, 12)
    [(tokens, _)] = conversation(load_host(path), TEXTS[:1], temperature=0, max_tokens=12)
    assert ask(page, TEXTS[0]) == tokens


def write_endless(path: Path) -> Path:
    """Write a model whose answers do not end by themselves."""
    config = tiny_config(context=8192)
    tensors = random_tensors(config, 6)
    tensors["output.weight"][256 + len(MERGES) :] = 0  # so that special tokens are never the best
    write_gguf(path, config, tensors)
    return path


def test_stop_ends_an_answer_which_stays(site: Path, tmp_path: Path, open_page: OpenPage) -> None:
    page = open_page((site / "index.html").as_uri())
    open_model(page, write_endless(tmp_path / "endless.gguf"))
    set_options(page, {"temperature": 0}, 4000)
    page.evaluate("stopAfter = 4")
    count = len(ask(page, "hello"))
    assert 4 <= count < 4000
    assert page.inner_text(".speed").startswith(f"{count} tokens, ")
    assert last_answer(page) != ""


def test_a_file_that_is_chosen_during_an_answer_is_opened_after_it(
    site: Path, tiny: Path, tmp_path: Path, open_page: OpenPage
) -> None:
    page = open_page((site / "index.html").as_uri())
    open_model(page, write_endless(tmp_path / "endless.gguf"))
    set_options(page, {"temperature": 0}, 4000)
    page.evaluate(
        "text => { dropped = new File([Uint8Array.from(atob(text), c => c.charCodeAt(0))], 'tiny.gguf'); }",
        base64.b64encode(tiny.read_bytes()).decode(),
    )
    page.evaluate("dropAfter = 2")
    page.evaluate("stopAfter = 6")
    page.fill("#question", "hello")
    page.press("#question", "Enter")
    page.wait_for_selector("#model-state:has-text('context 512')")
    assert page.evaluate("tokens.length") >= 6
    assert page.locator("#log > *").count() == 0


def test_a_model_beside_the_page_is_kept_until_it_changes(tmp_path: Path, open_page: OpenPage, serve: Serve) -> None:
    model = write_tiny(tmp_path / "m.gguf", 1, name="first")
    address = serve(model)
    page = open_page(address)
    page.wait_for_selector("#send:enabled")
    shown = page.inner_text("#model-state")
    assert shown.startswith("first")
    assert "kept, hash " in shown
    page.close()

    model.unlink()  # so that only the storage has it
    page = open_page(address)
    page.wait_for_selector("#send:enabled")
    assert page.inner_text("#model-state") == shown
    assert ask(page, "hello")
    page.close()

    write_tiny(model, 1, name="second")
    page = open_page(address)
    page.wait_for_selector("#send:enabled")
    assert page.inner_text("#model-state").startswith("second")

    page.click("#forget")
    page.get_by_text("Nothing is kept").wait_for()
    page.close()
    model.unlink()
    page = open_page(address)
    page.wait_for_selector("#model-hint:visible")


DAMAGE_KEPT = """
async () => {
  const folder = await navigator.storage.getDirectory();
  const writable = await (await folder.getFileHandle("model.gguf")).createWritable({ keepExistingData: true });
  await writable.write({ type: "write", position: 50000, data: new Uint8Array([1, 2, 3, 4, 5]) });
  await writable.close();
}
"""


def test_a_damaged_copy_is_not_used(tiny: Path, open_page: OpenPage, serve: Serve) -> None:
    address = serve(tiny)
    page = open_page(address)
    page.wait_for_selector("#send:enabled")
    shown = page.inner_text("#model-state")
    page.evaluate(DAMAGE_KEPT)
    page.close()
    page = open_page(address)
    page.wait_for_selector("#send:enabled")
    assert page.inner_text("#model-state") == shown  # downloaded again, so with the same hash


def _truncated(path: Path) -> None:
    path.write_bytes(write_tiny(path, 1).read_bytes()[:-100])


def _another_architecture(path: Path) -> None:
    path.write_bytes(
        write_tiny(path, 1).read_bytes().replace(b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0mamba", 1)
    )


def _without_a_tensor(path: Path) -> None:
    config = tiny_config()
    tensors = random_tensors(config, 1)
    del tensors["blk.1.ffn_up.weight"]
    write_gguf(path, config, tensors)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda path: path.write_bytes(b"PK\3\4 a zip file"), "This is not a GGUF file"),
        (lambda path: path.write_bytes(b"GGUF\3\0\0\0"), "The file ends within its header, at byte 8"),
        (_truncated, "Tensor 'output.weight' ends at byte"),
        (_another_architecture, "The model is of the architecture 'mamba'; allowed: 'llama'"),
        (_without_a_tensor, "The model has no tensor 'blk.1.ffn_up.weight'"),
    ],
)
def test_a_bad_file_is_told(
    site: Path, tiny: Path, tmp_path: Path, open_page: OpenPage, damage: Callable[[Path], Any], told: str
) -> None:
    path = tmp_path / "bad.gguf"
    damage(path)
    page = open_page((site / "index.html").as_uri())
    page.wait_for_selector("#model-hint:visible")
    page.set_input_files("#open", path)
    page.wait_for_selector("#model-state .bad")
    assert told in page.inner_text("#model-state")
    assert page.is_disabled("#send")
    open_model(page, tiny)
    assert ask(page, "hello")


def test_a_bad_option_is_told_and_the_question_comes_back(site: Path, tiny: Path, open_page: OpenPage) -> None:
    page = open_page((site / "index.html").as_uri())
    open_model(page, tiny)
    set_options(page, {"top_p": 2}, 5)
    ask(page, "hello")
    assert page.inner_text("#log .bad") == "topP is 2; allowed: more than 0, at most 1."
    assert page.input_value("#question") == "hello"
    set_options(page, {}, 5)
    assert len(ask(page, "hello " * 600)) == 0
    assert "too many for the context of 512" in page.locator("#log .bad").last.inner_text()


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_window(site: Path, tiny: Path, open_page: OpenPage, width: int, scheme: str) -> None:
    page = open_page((site / "index.html").as_uri(), viewport={"width": width, "height": 844}, color_scheme=scheme)
    open_model(page, tiny)
    set_options(page, {"temperature": 2}, 60)
    ask(page, "x" * 200)
    assert page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
