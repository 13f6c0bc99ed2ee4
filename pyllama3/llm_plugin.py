"""A plugin for the command and library `llm` (llm.datasette.io): models that chat, and that embed.

llm -m pyllama3 "What is a llama?"
llm -m pyllama3 -o model hf:org/repo:file.gguf "What is a llama?"
llm embed -m pyllama3 -c "a text"
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, cast

import llm
from llm.models import EmbeddingModel
from pydantic import Field

from .errors import PyLlama3Error
from .generation.constraint import json_schema
from .generation.generation import Statistics
from .generation.options import TextOptions
from .model import Llama

NAME = "pyllama3"
DEFAULT_MODEL = "smollm2"


@llm.hookimpl
def register_models(register: Callable[..., None]) -> None:
    """Tell llm of the model that chats."""
    register(Chat(), AsyncChat())


@llm.hookimpl
def register_embedding_models(register: Callable[..., None]) -> None:
    """Tell llm of the model that embeds."""
    register(Embedder())


@functools.lru_cache(maxsize=1)
def load(model: str) -> Llama:
    """Load a model, once for all prompts of a process."""
    return Llama.load(model)


class Options(llm.Options):
    """Those of `llm -o NAME VALUE`; what is not given is as in `Llama.generate`."""

    model: str = Field(DEFAULT_MODEL, description="A file, an alias such as smollm2, hf:org/repo[:file] or a URL")
    max_tokens: int | None = Field(None, description="Tokens to generate at most")
    temperature: float | None = Field(None, description="0 takes the best token")
    top_k: int | None = Field(None, description="Keep the best N tokens; 0 keeps all")
    top_p: float | None = Field(None, description="Keep the best tokens with this probability")
    min_p: float | None = Field(None, description="Keep tokens at least this times as probable as the best")
    repeat_penalty: float | None = Field(None, description="Makes recent tokens unlikely; 1 changes nothing")
    seed: int | None = Field(None, description="Same seed, same text")


class _Chat:
    """What both forms of the model have in common."""

    model_id = NAME
    can_stream = True
    supports_schema = True
    Options = Options

    @staticmethod
    def _ask(prompt: llm.Prompt, before: Sequence[Any], answers: Iterable[str]) -> tuple[Llama, dict[str, Any]]:
        """Return the model, and the arguments of its `chat`: what was said before, the prompt, and options."""
        given = prompt.options.model_dump(exclude_none=True)
        model = load(given.pop("model"))
        systems = [said.system for said in (prompt, *(response.prompt for response in before)) if said.system]
        messages = [{"role": "system", "content": systems[0]}] if systems else []
        for response, answer in zip(before, answers, strict=True):
            messages.append({"role": "user", "content": response.prompt.prompt or ""})
            messages.append({"role": "assistant", "content": answer})
        messages.append({"role": "user", "content": prompt.prompt or ""})
        options = cast(TextOptions, given)
        if prompt.schema:
            options["grammar"] = json_schema(cast(dict[str, Any], prompt.schema))
        return model, {"messages": messages, **options}


class Chat(_Chat, llm.Model):  # type: ignore[misc]
    """A model that chats, and with a schema answers with JSON that fits."""

    def execute(
        self, prompt: llm.Prompt, stream: bool, response: llm.Response, conversation: llm.Conversation | None
    ) -> Iterator[str]:
        """Yield the answer as it comes."""
        with _told():
            before: Sequence[Any] = conversation.responses if conversation else []
            model, arguments = self._ask(prompt, before, [said.text() for said in before])
            for piece in model.chat(**arguments):
                _count(response, piece.stats)
                yield piece.text


class AsyncChat(_Chat, llm.AsyncModel):  # type: ignore[misc]
    """The same for asyncio."""

    async def execute(
        self,
        prompt: llm.Prompt,
        stream: bool,
        response: llm.AsyncResponse,
        conversation: llm.AsyncConversation | None,
    ) -> AsyncGenerator[str, None]:
        """Yield the answer as it comes."""
        with _told():
            before: Sequence[Any] = conversation.responses if conversation else []
            model, arguments = self._ask(prompt, before, [await said.text() for said in before])
            async for piece in model.achat(**arguments):
                _count(response, piece.stats)
                yield piece.text


class Embedder(EmbeddingModel):
    """A model that turns texts into vectors."""

    model_id = NAME
    supports_text = True
    supports_binary = False

    def embed_batch(self, items: Iterable[str | bytes], *, key: str | None = None) -> Iterator[list[float]]:
        """Yield a vector for each text."""
        with _told():
            for vector in load(DEFAULT_MODEL).embed([cast(str, item) for item in items]):
                yield vector.tolist()


@contextmanager
def _told() -> Iterator[None]:
    """Have llm tell our errors as its own."""
    try:
        yield
    except PyLlama3Error as error:
        raise llm.ModelError(str(error)) from error


def _count(response: Any, stats: Statistics) -> None:
    response.set_usage(input=stats.prompt_tokens, output=stats.tokens)
