"""`pyllama3 chat`, in a pipe and in a terminal, and conversations.

The witness is a model that says what its script tells it. To add a case: lines to type, and what must come back.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from paths import ROOT
from scripted import script, write_scripted
from tiny_models import random_tensors, tiny_config, write_gguf

from pyllama3 import Llama
from pyllama3.conversation import Conversation
from pyllama3.errors import ContextError, OptionError

USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "hello world"}
SYSTEM = {"role": "system", "content": "Be kind."}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that answers "hello world"."""
    folder = tmp_path_factory.mktemp("scripted")
    return write_scripted(folder / "m.gguf", script("hello", " world", "<|eot_id|>"), context=512)


@pytest.fixture(scope="module")
def endless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that does not come to an end."""
    folder = tmp_path_factory.mktemp("endless")
    return write_scripted(folder / "m.gguf", script("x", "y"), [ord("y"), ord("z"), ord("y")], context=131072)


def arguments(path: Path, *options: str) -> list[str]:
    return ["-m", "pyllama3", "chat", "-m", str(path), "--temp", "0", *options]


def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "PYLLAMA3_CACHE": str(tmp_path / "cache"), "TERM": "xterm"}


# a pipe


def pipe(path: Path, tmp_path: Path, text: str, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments(path, *options)]
    return subprocess.run(
        command, input=text, capture_output=True, text=True, env=environment(tmp_path), cwd=tmp_path, timeout=60
    )


def test_each_line_is_a_message(path: Path, tmp_path: Path) -> None:
    result = pipe(
        path, tmp_path, "Hi\n\nHow are\\\nyou?\n/save talk.json\n/context\n/quit\nnot read\n", "--system", "Be kind."
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("hello world\nhello world\n<|begin_of_text|><|start_header_id|>system")
    assert result.stdout.count("Be kind.<|eot_id|>") == 1
    messages = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    assert messages == [SYSTEM, USER, ANSWER, {"role": "user", "content": "How are\nyou?"}, ANSWER]


def test_commands(path: Path, tmp_path: Path) -> None:
    (tmp_path / "talk.json").write_text(json.dumps([SYSTEM, USER, ANSWER]))
    commands = [
        "/load talk.json",
        "/undo",
        "/system Be brief.",
        "Hi",
        "/regen",
        "/set -n 1",
        "/regen",
        "/save 1.json",
        "/clear",
        "/set max_tokens none",
        "/system",
        "Hi",
        "/save 2.json",
        "/show",
        "/help",
    ]
    result = pipe(path, tmp_path, "\n".join(commands))
    cut = "pyllama3: the answer was cut after 1 token; /set n changes that\n"
    assert (result.returncode, result.stderr) == (0, cut)
    lines = result.stdout.splitlines()
    assert lines[:4] == ["hello world", "hello world", "hello", "hello world"]
    assert "max-tokens         none" in lines
    assert "temperature        0.0" in lines
    assert "/regen             answer the last question again" in lines
    short = {"role": "assistant", "content": "hello"}
    first, second = (json.loads((tmp_path / name).read_text("utf-8")) for name in ("1.json", "2.json"))
    assert first == {"messages": [{"role": "system", "content": "Be brief."}, USER, short]}
    assert second == {"messages": [USER, ANSWER]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("/nothing", "there is no command /nothing; /help shows them all"),
        ("/set tepm 1", "there is no setting 'tepm'; known: temperature, top-k, "),
        ("/set temperature hot", "temperature is 'hot'; a number is expected"),
        ("/set repeat-prompt 2", "repeat_prompt is '2'; on or off is expected"),
        ("/set n 0", "max_tokens is 0; allowed: 1 or more"),
        ("/drop", "there is no first question"),
        ("/model no", "model 'no' is unknown"),
        ("/set top_p 2", "top_p is 2.0; allowed: more than 0, at most 1"),
        ("/undo", "there is no last question"),
        ("/regen", "there is no last question"),
        ("/save", "a file is missing"),
        ("/save no/folder/x", "no/folder/x: cannot be written: No such file or directory"),
        ("/save ~nobody-of-this-name/x", "~nobody-of-this-name/x: whose home directory this is is not known"),
        ("/load none.json", "none.json: No such file or directory"),
        ("x" * 600, "prompt tokens do not fit into the context of 512; /drop forgets the oldest question, "),
    ],
)
def test_an_error_ends_a_pipe(path: Path, tmp_path: Path, text: str, message: str) -> None:
    result = pipe(path, tmp_path, f"{text}\nHi\n")
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert result.stderr.startswith("pyllama3: ")
    assert result.stderr.count("\n") == 1


def test_lines_that_are_messages_and_lines_that_are_none(path: Path, tmp_path: Path) -> None:
    lines = ["/etc/hosts is full", "/tmp is, too", '"""/help', "is", 'a command"""', '  """x"""', "/exit", "not read"]
    result = pipe(path, tmp_path, "/set seed 7\n" + "\n".join([*lines[:-2], "/save talk.json", *lines[-2:]]) + "\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello world\n" * 4, "")
    messages = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    asked = [message["content"] for message in messages[::2]]
    assert asked == ["/etc/hosts is full", "/tmp is, too", "/help\nis\na command", "x"]


def test_a_quoted_message_that_is_not_closed_ends_with_the_input(path: Path, tmp_path: Path) -> None:
    assert pipe(path, tmp_path, '"""Hi\nthere').stdout == "hello world\n"


def test_show_tells_what_the_template_says(path: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("system: You are Bob. {{ messages[-1].content }}\n\n\n")
    shown = pipe(path, tmp_path, "/show\n/system Hi\n/show\n", "--chat-template", str(tmp_path / "t.jinja")).stdout
    systems = [line for line in shown.splitlines() if line.startswith("system ")]
    assert systems[0].endswith("none of yours; the template begins with '<|begin_of_text|>system: You are Bob. '")
    assert systems[1].split() == ["system", "Hi"]


def test_another_model_goes_on(path: Path, tmp_path: Path) -> None:
    other = write_scripted(tmp_path / "other.gguf", script("e", "n", "d", "<|eot_id|>"), context=512)
    lines = ["Hi", f"/model {other}", "Hi", "/model", "/drop", "/save talk.json"]
    result = pipe(path, tmp_path, "\n".join(lines))
    assert (result.returncode, result.stdout, result.stderr) == (0, "hello world\nend\ntiny\n", "")
    messages = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    assert messages == [USER, {"role": "assistant", "content": "end"}]


def test_a_base_model_needs_a_template(path: Path, tmp_path: Path) -> None:
    (tmp_path / "t.jinja").write_text("{{ messages[-1].content }}\n\n\n")
    result = pipe(path, tmp_path, "Hi\n/context\n", "--chat-template", str(tmp_path / "t.jinja"))
    assert result.stdout.startswith("hello world\n<|begin_of_text|>Hi\n\n")
    (tmp_path / "bad.jinja").write_text("{{")
    result = pipe(path, tmp_path, "Hi\n", "--chat-template", str(tmp_path / "bad.jinja"))
    assert (result.returncode, result.stderr[:28]) == (1, "pyllama3: chat template, lin")


# a terminal


@pytest.fixture
def terminal(path: Path, tmp_path: Path) -> Iterator[pexpect.spawn]:
    yield from spawn(path, tmp_path)


def spawn(path: Path, tmp_path: Path, *options: str, status: str = "0 of ") -> Iterator[pexpect.spawn]:
    environ, cwd = environment(tmp_path), str(tmp_path)
    child = pexpect.spawn(
        sys.executable, arguments(path, *options), env=environ, cwd=cwd, timeout=30, dimensions=(30, 100)
    )
    child.expect("/help: commands")
    expect_prompt(child, status)
    yield child
    child.close(force=True)


def expect_prompt(terminal: pexpect.spawn, status: str) -> None:
    """Tell where the cursor is, as a terminal does when it is asked, and wait for the status line."""
    terminal.expect_exact("\x1b[6n")
    terminal.send("\x1b[1;1R")
    terminal.expect_exact(status)


def test_a_conversation_in_a_terminal(path: Path, terminal: pexpect.spawn, tmp_path: Path) -> None:
    terminal.send("Hi\r")
    terminal.expect_exact("hello world")
    expect_prompt(terminal, " of 512 tokens | ")
    terminal.expect(r"\d tokens/s")
    terminal.send("two\x1b\rlines\r")  # Alt-Enter
    terminal.expect_exact("hello world")
    expect_prompt(terminal, " of 512 tokens")
    terminal.send("/sa\t")
    terminal.expect_exact("ve")  # is completed
    terminal.send(" talk.json\r")
    expect_prompt(terminal, " of 512 tokens")
    terminal.send("/nothing\r")
    terminal.expect_exact("pyllama3: there is no command /nothing")
    expect_prompt(terminal, " of 512 tokens")
    terminal.send("\x04")
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0
    messages = json.loads((tmp_path / "talk.json").read_text("utf-8"))["messages"]
    assert messages == [USER, ANSWER, {"role": "user", "content": "two\nlines"}, ANSWER]
    kept = [tmp_path / "cache" / name for name in ("chat_history", "last_conversation.json")]
    assert "+Hi" in kept[0].read_text("utf-8")
    assert json.loads(kept[1].read_text("utf-8"))["messages"] == messages
    assert [path.stat().st_mode & 0o777 for path in kept] == [0o600, 0o600]
    for terminal in spawn(path, tmp_path, "--continue", status=" of 512 tokens"):
        terminal.send("/undo\r")
        terminal.expect_exact("(taken back: two lines)")


def test_commands_confirm_in_a_terminal(terminal: pexpect.spawn, tmp_path: Path) -> None:
    for command, said in {
        "/set temp 0.5": "(temperature is 0.5)",
        "/set temp default": "(temperature is 0.6)",
        "/system Be kind.": "(the system message is 'Be kind.')",
        "/system": "(there is no system message of yours)",
        "Hi": "hello world",
        "/save talk.json": "(2 messages saved as talk.json)",
        "/drop": "(forgotten: Hi)",
        "/load talk.json": "(2 messages)",
        "/clear": "(2 messages forgotten)",
    }.items():
        terminal.send(f"{command}\r")
        terminal.expect_exact(said)
        expect_prompt(terminal, " of 512 tokens")
    terminal.send("/bye\r")
    terminal.expect(pexpect.EOF)


def test_an_editor_writes_the_message(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    editor = tmp_path / "editor"
    editor.write_text("#!/bin/sh\nprintf '/system from an editor' > \"$1\"\n")
    editor.chmod(0o700)
    monkeypatch.setenv("EDITOR", str(editor))
    monkeypatch.delenv("VISUAL", raising=False)
    for terminal in spawn(path, tmp_path):
        terminal.send("\x07")
        terminal.expect_exact("from an editor")
        terminal.send("\r")
        terminal.expect_exact("(the system message is 'from an editor')")


def test_what_is_typed_during_an_answer_is_not_in_it(endless: Path, tmp_path: Path) -> None:
    for terminal in spawn(endless, tmp_path, "-c", "131072", "--allow-loops"):
        terminal.send("Hi\r")
        terminal.expect_exact("xyzyzyzyzyz")
        terminal.send("QQQ")
        terminal.expect(r"^[yz\r\n]{200}")
        terminal.sendintr()
        terminal.expect(r"^[yz\r\n]*\(stopped\)")


def test_ctrl_c_stops_the_answer_only(endless: Path, tmp_path: Path) -> None:
    # the answer cannot come to its end: until it is read, no more of it than fits into the terminal is written
    for terminal in spawn(endless, tmp_path, "-c", "131072", "--allow-loops"):
        terminal.send("Hi\r")
        terminal.expect_exact("xyzyzyzyzyz")
        terminal.sendintr()
        terminal.expect_exact("(stopped)")
        expect_prompt(terminal, " of 131072 tokens | ")
        terminal.expect(r"\d tokens/s \| tiny")
        terminal.sendintr()  # at the prompt it does nothing
        expect_prompt(terminal, " of 131072 tokens")
        terminal.send("/set max_tokens 3\r")
        expect_prompt(terminal, " of 131072 tokens")
        terminal.send("/regen\r")
        terminal.expect_exact("xyz\r\n")
        expect_prompt(terminal, " of 131072 tokens")
        terminal.send("/clear\r")
        expect_prompt(terminal, "0 of 131072 tokens")
        terminal.send("/quit\r")
        terminal.expect(pexpect.EOF)
        terminal.close()
        assert terminal.exitstatus == 0


# conversations


def test_only_what_has_changed_is_evaluated_again(tmp_path: Path) -> None:
    config = tiny_config(context=512)
    write_gguf(tmp_path / "m.gguf", config, random_tensors(config, 1))
    llm = Llama.load(tmp_path / "m.gguf", precision="exact")
    conversation = Conversation(llm, system="Be kind.")
    options: dict[str, Any] = {"max_tokens": 8, "temperature": 0, "logit_bias": dict.fromkeys(range(256, 288), -99)}

    def fed(question: str) -> int:
        return list(conversation.ask(question, **options))[-1].stats.prompt_tokens

    fed("first question")
    before = conversation.session.position
    whole = len(llm.encode_chat([*conversation.messages, {"role": "user", "content": "second"}]))
    assert whole - before - 1 <= fed("second") < whole - 40
    assert list(conversation.ask_again(**options))[-1].stats.prompt_tokens == 1
    fresh = list(llm.chat(conversation.messages[:-1], **options))
    assert "".join(piece.text for piece in fresh) == conversation.messages[-1]["content"]


def test_what_is_forgotten_takes_no_context(path: Path, tmp_path: Path) -> None:
    conversation = Conversation(Llama.load(path), system="Be kind.")
    session = conversation.session
    list(conversation.ask("Hi", temperature=0))
    one = session.position
    list(conversation.ask("Hi", temperature=0))
    conversation.save(tmp_path / "talk.json")
    assert conversation.undo() == "Hi"
    assert one < session.position < one + 10
    conversation.clear()
    assert 0 < session.position < one
    conversation.load(tmp_path / "talk.json")
    conversation.system = None
    assert session.position < 10
    conversation.clear()
    assert session.position == 0


def test_a_question_that_cannot_be_answered_again_stays(path: Path) -> None:
    conversation = Conversation(Llama.load(path))
    list(conversation.ask("Hi", temperature=0))
    with pytest.raises(ContextError):
        conversation.ask_again(max_tokens=600)
    assert conversation.messages == [USER, ANSWER]


def test_an_answer_that_is_broken_off_stays(endless: Path) -> None:
    conversation = Conversation(Llama.load(endless))
    pieces = conversation.ask("Hi", temperature=0)
    for _ in range(3):
        next(pieces)
    pieces.close()  # type: ignore[attr-defined]
    assert conversation.messages == [USER, {"role": "assistant", "content": "xyz"}]
    pieces = conversation.ask("again", temperature=0)
    assert next(pieces).text == "x"


def test_a_question_that_cannot_be_answered_is_forgotten(path: Path) -> None:
    conversation = Conversation(Llama.load(path))
    with pytest.raises(ContextError):
        conversation.ask("x" * 600)
    assert conversation.messages == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "talk.json: not JSON: "),
        ('{"a": 1}', "talk.json: found no messages; "),
        ("[1]", "talk.json: message 1 is a int; a mapping is expected"),
        ('[{"content": "x"}]', "talk.json: message 1 has no role"),
        ("[]", "talk.json: there are no messages"),
    ],
)
def test_files_that_are_no_conversations(path: Path, tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "talk.json").write_text(content)
    conversation = Conversation(Llama.load(path), system="Be kind.")
    with pytest.raises(OptionError, match=message):
        conversation.load(tmp_path / "talk.json")
    assert conversation.messages == [SYSTEM]
