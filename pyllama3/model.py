"""The front door: a model that generates text and chats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .backends import load_engine
from .chat import ChatTemplate, encode_chat, find_template
from .config import ModelConfig
from .cpu import physical_cores
from .download import Progress
from .errors import OptionError, TemplateError
from .generate import Piece, SamplerOptions, generate
from .session import EngineModel, Session
from .store import find_model
from .tokenizer import Tokenizer
from .vocabulary import Vocabulary
from .weights import Weights, load_weights

DEFAULT_CONTEXT = 4096
"""Tokens a session can hold unless the model allows fewer or the caller asks for another number."""


class Llama:
    """Weights in an engine, with their configuration, tokenizer and chat template.

    Generations of one model may run in several threads, since each has a session of its own.
    """

    def __init__(self, weights: Weights, model: EngineModel, vocabulary: Vocabulary, context: int) -> None:
        """Put the parts together; `Llama.load` is the usual way."""
        self._weights = weights
        self._model = model
        self.tokenizer = Tokenizer(vocabulary)
        self.template: ChatTemplate | None = find_template(weights.load_template(), vocabulary)
        self.context = context

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        backend: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        exact: bool = False,
        progress: Progress | None = None,
    ) -> Llama:
        """Load a model.

        Args:
            model: a path, an alias such as "smollm2", hf:org/repo[:file] or a URL (see `pyllama3.store`).
            backend: "c" or "python"; by default the fastest that was built.
            threads: how many compute; by default as many as there are physical cores.
            context: tokens a session can hold; by default 4096 or what the model allows.
            exact: compute in single precision, instead of with 8-bit activations and half-precision caches.
            progress: receives the bytes done and in all while a model is downloaded.

        Raises:
            PyLlama3Error: one of its subclasses tells what is wrong with an argument or a file.
        """
        if threads is not None and not 1 <= threads <= 1024:
            raise OptionError(f"threads is {threads}; allowed: 1 to 1024")
        engine = load_engine(backend)
        weights = load_weights(find_model(str(model), progress=progress))
        most = weights.config.context
        if context is not None and not 1 <= context <= most:
            raise OptionError(f"context is {context}; allowed for this model: 1 to {most}")
        vocabulary = weights.load_vocabulary()
        engine_model = EngineModel(engine, weights, threads=threads or physical_cores(), exact=exact)
        return cls(weights, engine_model, vocabulary, context or min(most, DEFAULT_CONTEXT))

    @property
    def config(self) -> ModelConfig:
        """Hyper-parameters."""
        return self._model.config

    @property
    def backend(self) -> str:
        """Name of the backend that computes."""
        return self._model.engine.name

    @property
    def threads(self) -> int:
        """Threads that compute."""
        return self._model.threads

    def session(self) -> Session:
        """Return a new, empty session.

        Raises:
            BackendError: there is not enough memory.
        """
        return Session(self._model, context=self.context)

    def encode_prompt(self, text: str) -> list[int]:
        """Return the tokens of a text to continue, with a BOS if the model expects one."""
        tokenizer = self.tokenizer
        bos = [tokenizer.bos_id] if tokenizer.add_bos and tokenizer.bos_id is not None else []
        return bos + tokenizer.encode(text)

    def encode_chat(self, messages: Sequence[Mapping[str, Any]]) -> list[int]:
        """Return the tokens of a conversation in the model's own format, up to where its answer begins.

        Raises:
            TemplateError: the model has no chat template, or the template refuses the messages.
        """
        if self.template is None:
            raise TemplateError(f"{self._weights.path}: the model has no chat template; it can only continue text")
        return encode_chat(self.tokenizer, self.template, messages)

    def generate(
        self, prompt: str | Sequence[int], *, max_tokens: int | None = None, **options: Any
    ) -> Iterator[Piece]:
        """Continue a text (or token ids); `options` are those of `SamplerOptions`.

        Raises:
            ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
            OptionError: an option is unknown or out of range.
        """
        ids = self.encode_prompt(prompt) if isinstance(prompt, str) else prompt
        if not ids:
            raise OptionError("the prompt is empty, and the model has no token to begin a text with")
        return generate(self.session(), self.tokenizer, ids, options=_sampler_options(options), max_tokens=max_tokens)

    def chat(
        self, messages: Sequence[Mapping[str, Any]], *, max_tokens: int | None = None, **options: Any
    ) -> Iterator[Piece]:
        """Answer a conversation of {"role", "content"} messages; `options` are those of `SamplerOptions`.

        Raises:
            ContextError: the conversation, or it and `max_tokens`, do not fit into the context.
            OptionError: an option is unknown or out of range.
            TemplateError: the model has no chat template, or the template refuses the messages.
        """
        return self.generate(self.encode_chat(messages), max_tokens=max_tokens, **options)

    def close(self) -> None:
        """Let go of the weights; the model can not be used any more."""
        self._weights.close()
        vars(self).pop("_model", None)

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _sampler_options(options: Mapping[str, Any]) -> SamplerOptions:
    known = SamplerOptions.__dataclass_fields__
    unknown = sorted(options.keys() - known.keys())
    if unknown:
        raise OptionError(f"unknown option: {', '.join(unknown)}; known: max_tokens, {', '.join(known)}")
    return SamplerOptions(**options)
