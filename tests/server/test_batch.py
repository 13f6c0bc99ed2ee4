"""Batch files: continuous batching gives what single runs give, and a batch that was killed goes on where it was.

To add a case: a request that is refused, with the beginning of its message.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
import pytest
from paths import ROOT
from tiny_models import MERGES, random_tensors, tiny_config, write_gguf, write_tiny

from pyllama3 import Llama
from pyllama3.backends import Engine
from pyllama3.errors import BatchError, OptionError
from pyllama3.server.batch import BatchCounts, run_batch
from pyllama3.server.protocol import read_request

LONGEST = 65536
SPECIAL = range(256 + len(MERGES), 288)
CHAT, COMPLETIONS = "/v1/chat/completions", "/v1/completions"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("random") / "m.gguf", context=128, layers=1)


@pytest.fixture(scope="module")
def long_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny(tmp_path_factory.mktemp("long") / "m.gguf", context=LONGEST, layers=1)


def completion(number: int, **body: Any) -> dict[str, Any]:
    """A request with a prompt and a length of its own."""
    prompt = [1 + number % 250, *range(2, 2 + 3 * number % 70)]
    body = {"prompt": prompt, "max_tokens": 1 + 5 * number % 23, "seed": number, "temperature": 1, **body}
    return {"custom_id": f"request {number}", "method": "POST", "url": COMPLETIONS, "body": body}


def without_end(number: int) -> dict[str, Any]:
    """The request of the same number whose answer, of the longest text there is, takes minutes."""
    prompt = completion(number)["body"]["prompt"]
    return completion(number, max_tokens=LONGEST - len(prompt), logit_bias=dict.fromkeys(SPECIAL, -100))


def write_lines(path: Path, lines: Sequence[Mapping[str, Any] | str]) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def read_lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text("utf-8")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def by_id(answers: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """The texts of answers, none of which comes twice."""
    texts = {answer["custom_id"]: answer["response"]["body"]["choices"][0]["text"] for answer in answers}
    assert len(texts) == len(answers)
    return texts


def single(llm: Llama, request: Mapping[str, Any]) -> str:
    body = request["body"]
    pieces = llm.generate(
        body["prompt"], max_tokens=body["max_tokens"], seed=body["seed"], temperature=body["temperature"]
    )
    return "".join(piece.text for piece in pieces)


def test_answers_are_those_of_single_runs(engine: Engine, path: Path, tmp_path: Path) -> None:
    requests = [completion(number) for number in range(4 if engine.name == "python" else 30)]
    llm = Llama.load(path, backend=engine.name, precision="exact", context=100)
    expected = {request["custom_id"]: single(llm, request) for request in requests}
    source = write_lines(tmp_path / "in.jsonl", requests)
    for parallel in (3,) if engine.name == "python" else (1, 5, 40):
        target = tmp_path / f"out{parallel}.jsonl"
        seen: list[int] = []
        counts = run_batch(llm, source, target, parallel=parallel, progress=lambda c, seen=seen: seen.append(c.done))
        assert counts == BatchCounts(total=len(requests), answered=len(requests))
        assert seen == list(range(len(requests) + 1))
        assert by_id(read_lines(target)) == expected


def test_prompts_longer_than_a_batch(path: Path, tmp_path: Path) -> None:
    llm = Llama.load(path, precision="exact", context=128)
    requests = [completion(n, prompt=[n + 1] * (120 - n), max_tokens=5) for n in range(4)]
    target = tmp_path / "out.jsonl"
    run_batch(llm, write_lines(tmp_path / "in.jsonl", requests), target, parallel=4)
    assert by_id(read_lines(target)) == {request["custom_id"]: single(llm, request) for request in requests}


def test_the_forms_of_answers(path: Path, tmp_path: Path) -> None:
    body = {"messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 4, "temperature": 0}
    requests = [
        {"custom_id": "chat", "url": CHAT, "body": {**body, "model": "m", "logprobs": True, "top_logprobs": 2}},
        completion(1, max_tokens=3, logprobs=1),
    ]
    llm = Llama.load(path, precision="exact")
    run_batch(llm, write_lines(tmp_path / "in.jsonl", requests), tmp_path / "out.jsonl")
    answers = {answer["custom_id"]: answer for answer in read_lines(tmp_path / "out.jsonl")}
    chat, text = (answers[name]["response"]["body"] for name in ("chat", "request 1"))
    assert {answer["response"]["status_code"] for answer in answers.values()} == {200}
    assert {answer["error"] for answer in answers.values()} == {None}
    prompt = llm.encode_chat(body["messages"])
    pieces = list(llm.generate(prompt, max_tokens=4, temperature=0, top_logprobs=2))
    assert (chat["object"], chat["model"]) == ("chat.completion", "m")
    (choice,) = chat["choices"]
    assert choice["message"] == {"role": "assistant", "content": "".join(piece.text for piece in pieces)}
    assert choice["finish_reason"] == "length"
    assert chat["usage"] == {
        "prompt_tokens": len(prompt),
        "completion_tokens": 4,
        "total_tokens": len(prompt) + 4,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    for entry, piece in zip(choice["logprobs"]["content"], pieces, strict=True):
        assert entry["bytes"] == list(llm.tokenizer.token_bytes(piece.id))
        assert entry["logprob"] == pytest.approx(piece.logprob, abs=1e-4)
        assert len(entry["top_logprobs"]) == 2
    assert text["object"] == "text_completion"
    assert len(text["choices"][0]["logprobs"]["tokens"]) == text["usage"]["completion_tokens"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("no JSON", "the line is not JSON: "),
        ("[1]", "the line is not a JSON object"),
        ({"url": CHAT, "body": {}}, "custom_id is None; a string is expected"),
        ({**completion(1), "method": "GET"}, "method is 'GET'; supported: 'POST'"),
        ({**completion(1), "url": "/v1/embeddings"}, "url is '/v1/embeddings'; supported: "),
        ({**completion(1), "url": CHAT, "body": {}}, "messages is missing; an array is expected"),
        (completion(1, temperature="hot"), "temperature is 'hot'; a number is expected"),
        (completion(1, temperature=-1), "temperature is -1; allowed: 0 or more"),
        (completion(1, seed=True), "seed is True; an integer is expected"),
        (completion(1, max_tokens=0), "max_tokens is 0; allowed: 1 or more"),
        (completion(1, max_tokens=500), "4 prompt tokens and 500 more to generate do not fit into the context of 128"),
        (completion(1, prompt=[999]), "token 999 is not in the vocabulary"),
        (completion(1, prompt=["a", "b"]), "prompt is an array of 2; supported in batches: an array of 1"),
        (completion(1, n=2), "n is 2; supported in batches: 1"),
        (completion(1, stream=True), "stream is True; supported in batches: False"),
        (completion(1, temperatur=1), "unsupported field: temperatur"),
        (completion(1, logit_bias={"a": 1}), "logit_bias has 'a': 1; token ids and numbers are expected"),
        (completion(1, stop=[1]), "stop is [1]; a string or an array of strings is expected"),
        (completion(1, response_format={"type": "xml"}), "response_format has type 'xml'; supported: "),
        (completion(1, logit_bias={"7" * 5000: 1}), "logit_bias has '777"),
        (completion(1, logit_bias={"\u0661": 1}), "logit_bias has '"),
        (
            json.dumps(completion(1, temperature=7)).replace(": 7", f": 1{400 * '0'}"),
            "the line is not JSON: has an int",
        ),
        (json.dumps(completion(1, temperature=7)).replace(": 7", ": 1e999"), "temperature is inf; allowed: 0 or more"),
        (completion(1, presence_penalty=10**90), "presence_penalty is 1000"),
        (
            completion(1, user=json.loads(600 * "[" + 600 * "]")),
            "the line is not JSON: is nested too deeply; at most 64",
        ),
        (100_000 * "[", "the line is not JSON: is nested too deeply; at most 64 levels are read"),
        (9999 * "7", "the line is not JSON: has an integer of 9999 digits; at most 100 are read"),
        ("\x00", "the line is not JSON: "),
    ],
)
def test_requests_that_are_refused(path: Path, tmp_path: Path, line: Any, message: str) -> None:
    source = write_lines(tmp_path / "in.jsonl", [completion(0), line, "", completion(2)])
    target = tmp_path / "out.jsonl"
    llm = Llama.load(path)
    assert run_batch(llm, source, target) == BatchCounts(total=3, answered=2, failed=1)
    (answer,) = [answer for answer in read_lines(target) if answer["id"] == "batch_req_2"]
    assert answer["response"]["status_code"] == 400
    error = answer["response"]["body"]["error"]
    assert error["message"].startswith(message)
    assert error["type"] == "invalid_request_error"
    before = target.read_bytes()
    assert run_batch(llm, source, target) == BatchCounts(total=3, skipped=3)
    assert target.read_bytes() == before


@pytest.mark.parametrize("body", [{"model": "\ud800"}, {"messages": [{"role": "user", "content": "\ud800"}]}])
def test_halves_of_surrogate_pairs(path: Path, tmp_path: Path, body: dict[str, Any]) -> None:
    url = CHAT if "messages" in body else COMPLETIONS
    request = {"custom_id": "\udfff", "url": url, "body": {"prompt": [1], "max_tokens": 1, **body}}
    if url == CHAT:
        del request["body"]["prompt"]
    source, target = write_lines(tmp_path / "in.jsonl", [request, completion(2)]), tmp_path / "out.jsonl"
    llm = Llama.load(path)
    assert run_batch(llm, source, target) == BatchCounts(total=2, answered=2)
    assert run_batch(llm, source, target) == BatchCounts(total=2, skipped=2)


def test_a_fault_of_ours_stops_no_other_line(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = Llama.load(path)
    monkeypatch.setattr(llm, "encode_chat", lambda *_, **__: {}["no"])
    chat = {"custom_id": "chat", "url": CHAT, "body": {"messages": [{"role": "user", "content": "Hi"}]}}
    source, target = write_lines(tmp_path / "in.jsonl", [chat, completion(2)]), tmp_path / "out.jsonl"
    assert run_batch(llm, source, target) == BatchCounts(total=2, answered=1, failed=1)
    answers = {answer["custom_id"]: answer["response"] for answer in read_lines(target)}
    assert answers["chat"]["status_code"] == 500
    error = answers["chat"]["body"]["error"]
    assert (error["type"], error["message"]) == ("server_error", "internal error: KeyError: 'no'")


def test_a_line_that_is_too_long(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyllama3.server.batch.MAX_LINE", 1000)
    source = write_lines(tmp_path / "in.jsonl", [completion(0), "[" + 5000 * " " + "]", completion(2)])
    target = tmp_path / "out.jsonl"
    assert run_batch(Llama.load(path), source, target) == BatchCounts(total=3, answered=2, failed=1)
    (answer,) = [answer for answer in read_lines(target) if answer["id"] == "batch_req_2"]
    assert answer["response"]["body"]["error"]["message"] == "the line is not JSON: has more than 1000 bytes"


def test_a_text_that_the_model_cannot_continue_leaves_the_others(tmp_path: Path) -> None:
    config = tiny_config(context=128, layers=1)
    tensors = random_tensors(config, 1)
    tensors["token_embd.weight"][287] = np.nan
    write_gguf(tmp_path / "m.gguf", config, tensors)
    requests = [completion(number, temperature=0, max_tokens=4) for number in range(3)]
    requests[1]["body"]["prompt"].append(287)
    llm = Llama.load(tmp_path / "m.gguf")
    counts = run_batch(llm, write_lines(tmp_path / "in.jsonl", requests), tmp_path / "out.jsonl")
    assert counts == BatchCounts(total=3, answered=2, failed=1)
    (refused,) = [a for a in read_lines(tmp_path / "out.jsonl") if a["response"]["status_code"] == 500]
    assert refused["custom_id"] == "request 1"
    assert "m.gguf: 288 of 288 logits are not finite" in refused["response"]["body"]["error"]["message"]


def test_a_custom_id_counts_once(path: Path, tmp_path: Path) -> None:
    source = write_lines(tmp_path / "in.jsonl", [completion(1), completion(2), completion(1)])
    counts = run_batch(Llama.load(path), source, tmp_path / "out.jsonl")
    assert counts == BatchCounts(total=3, answered=2, failed=1)
    (answer,) = [answer for answer in read_lines(tmp_path / "out.jsonl") if answer["id"] == "batch_req_3"]
    assert answer["custom_id"] is None
    assert answer["response"]["body"]["error"]["message"] == "custom_id 'request 1' is that of an earlier line"


def test_a_torn_line_is_written_again(path: Path, tmp_path: Path) -> None:
    requests = [completion(number) for number in range(6)]
    source, target = write_lines(tmp_path / "in.jsonl", requests), tmp_path / "out.jsonl"
    llm = Llama.load(path, precision="exact")
    run_batch(llm, source, target)
    whole = target.read_bytes()
    expected = by_id(read_lines(target))
    ends = [at + 1 for at, byte in enumerate(whole) if byte == ord("\n")]
    for cut in (0, 1, 5, 17, 18, ends[0] - 1, ends[0], ends[2] + 30, ends[-1] - 1):
        target.write_bytes(whole[:cut])
        counts = run_batch(llm, source, target)
        assert counts.skipped == sum(end <= cut for end in ends)
        assert by_id(read_lines(target)) == expected


def test_a_killed_batch_goes_on(long_path: Path, tmp_path: Path) -> None:
    requests = [completion(number, max_tokens=20) for number in range(60)]
    source, target = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "pyllama3", "batch", "-m", str(long_path), "-c", str(LONGEST), "--exact"]
    command += [str(source), str(target)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for wanted in (5, 25):
        write_lines(source, [*requests[:40], *(without_end(number) for number in range(40, 60))])
        process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
        while process.poll() is None and (not target.exists() or target.read_bytes().count(b"\n") < wanted):
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert target.read_bytes().count(b"\n") >= wanted
    assert target.read_bytes().count(b"\n") <= 40
    write_lines(source, requests)
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "60 requests: " in result.stderr
    llm = Llama.load(long_path, precision="exact")
    assert by_id(read_lines(target)) == {request["custom_id"]: single(llm, request) for request in requests}


def test_progress_and_ctrl_c_in_a_narrow_terminal(long_path: Path, tmp_path: Path) -> None:
    requests = [completion(number, max_tokens=20) for number in range(600)]
    # the bar tells the time that is left when an answer comes a second after the first one; all would take minutes
    slow = [completion(number, max_tokens=3000, logit_bias=dict.fromkeys(SPECIAL, -100)) for number in range(300, 600)]
    write_lines(tmp_path / "in.jsonl", [*requests[:300], *slow])
    arguments = ["-m", "pyllama3", "batch", "-m", str(long_path), "-c", str(LONGEST), "--parallel", "1"]
    arguments += ["in.jsonl", "out.jsonl"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    options: Any = {"env": environment, "cwd": str(tmp_path), "dimensions": (24, 50), "timeout": 300}
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", **options)
    child.expect_exact("answering in.jsonl\r\n")
    child.expect(r"  \[-+\]  0/600")
    child.expect(r"\r(?:\x1b\[\?25l)?(  \[[^\r\n]+\d/600  [\d:]+)")
    assert child.match is not None
    assert 40 < len(child.match[1]) <= 50
    child.sendintr()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 130
    done = len(read_lines(tmp_path / "out.jsonl"))
    assert done < 600
    write_lines(tmp_path / "in.jsonl", requests)
    child = pexpect.spawn(sys.executable, arguments, encoding="utf-8", **options)
    child.expect_exact(f"600 requests: {600 - done} answered, 0 refused, {done} were done before")
    child.expect(pexpect.EOF)
    assert len(by_id(read_lines(tmp_path / "out.jsonl"))) == 600


def test_files_that_are_refused(path: Path, tmp_path: Path) -> None:
    llm = Llama.load(path)
    source = write_lines(tmp_path / "in.jsonl", [completion(1)])
    with pytest.raises(BatchError, match=r"none\.jsonl: No such file or directory$"):
        run_batch(llm, tmp_path / "none.jsonl", tmp_path / "out.jsonl")
    with pytest.raises(BatchError, match="No such file or directory"):
        run_batch(llm, source, tmp_path / "no" / "out.jsonl")


def test_half_a_surrogate_pair_is_of_that_line_only(path: Path, tmp_path: Path) -> None:
    """Every line has an answer, also when the batch is run again, and the file is UTF-8 and strict JSON."""
    lines = [
        json.dumps(completion(1)),
        json.dumps(completion(2) | {"custom_id": "cut \ud83d off"}),
        json.dumps(completion(3, model="m \udc00", prompt="x \ud800")),
        "[" * 100_000,
    ]
    source, target = write_lines(tmp_path / "in.jsonl", lines), tmp_path / "out.jsonl"
    llm = Llama.load(path, precision="exact")
    assert run_batch(llm, source, target) == BatchCounts(total=4, answered=3, failed=1)
    assert run_batch(llm, source, target) == BatchCounts(total=4, skipped=4)
    answers = {answer["custom_id"]: answer["response"] for answer in read_lines(target)}
    assert answers["cut \ud83d off"]["status_code"] == 200
    assert answers["request 3"]["body"]["model"] == "m \udc00"


def test_logprobs_of_tokens_whose_texts_are_the_same(path: Path, tmp_path: Path) -> None:
    """Bytes of incomplete characters have names of their own, so that none takes the place of another."""
    source = write_lines(tmp_path / "in.jsonl", [completion(1, logprobs=288, max_tokens=2, temperature=0)])
    llm = Llama.load(path, precision="exact")
    run_batch(llm, source, tmp_path / "out.jsonl")
    ((answer,),) = [read_lines(tmp_path / "out.jsonl")]
    logprobs = answer["response"]["body"]["choices"][0]["logprobs"]
    assert [len(top) for top in logprobs["top_logprobs"]] == [288] * len(logprobs["tokens"])
    assert "bytes:\\xf0" in logprobs["top_logprobs"][0]


def test_special_tokens_and_parts_in_requests(path: Path) -> None:
    llm = Llama.load(path, precision="exact")

    def prompt(url: str, **body: Any) -> Sequence[int]:
        return read_request(llm, url, body, {}).prompts[0]

    assert prompt(COMPLETIONS, prompt="a<|eot_id|>") == [
        *llm.encode_prompt("a"),
        llm.tokenizer.encode("<|eot_id|>", special=True)[0],
    ]
    parts = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    joined = [{"role": "user", "content": "Hi\nthere"}]
    assert prompt(CHAT, messages=[{"role": "user", "content": parts}]) == llm.encode_chat(joined)
    for name in ("max_tokens", "max_completion_tokens"):
        request = read_request(llm, CHAT, {"messages": joined, name: 0}, {})
        with pytest.raises(OptionError, match="max_tokens is 0; allowed: 1 or more"):
            llm.generation(request.prompts[0], **request.options)


@pytest.mark.parametrize(
    "content",
    ["my notes", "my notes\n", "[]\n", "{}", '{"id": 1}\n', '{"id": "batch_req_', '{"id": "batch_req_1"}\nmy notes'],
)
def test_files_of_others_are_left_alone(path: Path, tmp_path: Path, content: str) -> None:
    llm = Llama.load(path)
    source, target = write_lines(tmp_path / "in.jsonl", [completion(1)]), tmp_path / "notes.txt"
    target.write_text(content)
    if content == '{"id": "batch_req_':  # what we have begun
        assert run_batch(llm, source, target).answered == 1
        return
    with pytest.raises(BatchError, match=r"notes\.txt: line \d is not (the beginning of )?an answer of a batch$"):
        run_batch(llm, source, target)
    assert target.read_text() == content


@pytest.mark.parametrize("end", ["", "\n"])
def test_requests_are_not_taken_for_answers(path: Path, tmp_path: Path, end: str) -> None:
    llm = Llama.load(path)
    source = write_lines(tmp_path / "in.jsonl", [completion(1)])
    source.write_text(source.read_text().strip() + end)
    before = source.read_bytes()
    (tmp_path / "same").symlink_to(source)
    for target in (source, tmp_path / "same"):
        with pytest.raises(BatchError, match=r": these are the requests; the answers need a file of their own$"):
            run_batch(llm, source, target)
    answers = tmp_path / "out.jsonl"
    run_batch(llm, source, answers)
    with pytest.raises(BatchError, match=r"in\.jsonl: line 1 is not (the beginning of )?an answer of a batch$"):
        run_batch(llm, answers, source)
    assert source.read_bytes() == before
