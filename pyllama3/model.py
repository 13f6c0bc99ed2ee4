"""The front door: a model that generates text and chats."""

from __future__ import annotations

import datetime
import functools
from collections.abc import AsyncGenerator, Generator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from .arguments import flag, instance, items
from .backends import Engine, load_engine
from .config import CacheType, ModelConfig, Precision
from .cpu import choose_threads
from .errors import OptionError, TemplateError
from .generation.constraint import Constraint, Grammar, GrammarCompiler
from .generation.generation import Generation, Piece
from .generation.loop import generate
from .generation.options import SamplingOptions, TextOptions, recommended, sampler_options
from .generation.sampling import SamplerOptions
from .generation.scheduler import Scheduler
from .generation.speculation import Speaker, find_drafter
from .model_files import read_model
from .runtime.embedding import Pooling, embed
from .runtime.model import EngineModel, Model
from .runtime.passes import MakePasses
from .runtime.session import Session, check_ids
from .runtime.state import State
from .runtime.trace import Trace
from .tokenizer.chat_template import DEFAULT, ChatTemplate, encode_chat, find_template
from .tokenizer.tokenizer import Tokenizer
from .tokenizer.vocabulary import Vocabulary
from .weights import Weights

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Unpack

    from .store.download import Progress


class Llama:
    """Weights in an engine, with their configuration, tokenizer and chat template.

    Generations of one model may run in several threads, since each has a session of its own.
    """

    def __new__(cls, *parts: Any, **named: Any) -> Llama:
        """Refuse what `load` is for."""
        if not isinstance(parts[0] if parts else named.get("weights"), Weights):
            raise OptionError("Llama() takes a model that is loaded; Llama.load('smollm2') loads one")
        return super().__new__(cls)

    def __init__(
        self,
        weights: Weights,
        model: Model,
        vocabulary: Vocabulary,
        context: int,
        chat_template: str | None = None,
        make_passes: MakePasses = State,
    ) -> None:
        """Put the parts together; `Llama.load` is the usual way."""
        self._weights = weights
        self._make_passes = make_passes
        self._open_model: Model | None = model
        self.tokenizer = Tokenizer(vocabulary)
        self._vocabulary = vocabulary
        self._own_template = chat_template
        self.context = context

    @classmethod
    def load(
        cls,
        model: str | Path,
        *,
        backend: str | None = None,
        threads: int | None = None,
        context: int | None = None,
        precision: Precision = "default",
        cache_type: CacheType | None = None,
        chat_template: str | None = None,
        lora: Sequence[tuple[str | Path, float]] = (),
        progress: Progress | None = None,
    ) -> Llama:
        """Load a model.

        Args:
            model: a path, an alias such as "smollm2", hf:org/repo[:file] or a URL (see `pyllama3.store`).
            backend: "c", "wasm" or "python"; by default the fastest that was built and has what it needs.
            threads: how many compute; by default as many as there are physical cores.
            context: tokens a session can hold; by default 4096 or what the model allows.
            precision: how vectors are multiplied with quantized matrices: "default" takes 16-bit integers and can
                hardly be told from float32, "exact" is float32, "fast" takes 8-bit integers, which changes answers.
            cache_type: what keys and values are stored as, "f32", "f16" or "int8"; by default "f16", or "f32" if exact.
            chat_template: a Jinja template to use instead of the model's own.
            lora: LoRA adapters (GGUF files or PEFT directories) to merge into the weights, each with its scale.
            progress: receives the bytes done and in all while a model is downloaded.

        Raises:
            PyLlama3Error: one of its subclasses tells what is wrong with an argument or a file.
        """
        chosen = choose_threads(threads)
        engine = load_engine(backend)
        files = read_model(model, context=context, chat_template=chat_template, lora=lora, progress=progress)
        loaded = EngineModel(engine, files.weights, threads=chosen, precision=precision, cache_type=cache_type)
        return cls(files.weights, loaded, files.vocabulary, files.context, chat_template)

    @property
    def _model(self) -> Model:
        if self._open_model is None:
            raise OptionError("the model is closed")
        return self._open_model

    @property
    def config(self) -> ModelConfig:
        """Hyper-parameters."""
        return self._model.config

    @functools.cached_property
    def template(self) -> ChatTemplate | None:
        """The chat template; None for a model that only continues text.

        Raises:
            TemplateError: the file it is in is damaged.
        """
        own = self._own_template
        return find_template(self._weights.load_templates() if own is None else {DEFAULT: own}, self._vocabulary)

    @functools.cached_property
    def sampling(self) -> SamplerOptions:
        """How tokens are chosen by default: as the model's makers recommend, if they do."""
        return recommended(self._weights.load_sampling(), self._weights.path)

    @property
    def engine(self) -> Engine:
        """Engine that computes."""
        return self._model.engine

    @property
    def backend(self) -> str:
        """Name of the backend that computes."""
        return self._model.engine.name

    @property
    def threads(self) -> int:
        """Threads that compute."""
        return self._model.threads

    @property
    def precision(self) -> Precision:
        """How vectors are multiplied with quantized matrices."""
        return self._model.precision

    def __repr__(self) -> str:
        if self._open_model is None:
            return "<Llama, closed>"
        config = self.config
        return (
            f"<Llama {config.name!r}: {self._weights.parameters / 1e6:.1f} M parameters, {config.layers} layers, "
            f"context {self.context}, backend {self.backend!r}, {self.threads} threads, precision {self.precision!r}>"
        )

    def __reduce__(self) -> NoReturn:
        raise OptionError("a Llama cannot be pickled or copied; load it in each process")

    def session(self) -> Session:
        """Return a new, empty session.

        Raises:
            BackendError: there is not enough memory.
        """
        return Session(self._model, context=self.context, make_passes=self._make_passes)

    def encode_prompt(self, text: str, *, special: bool = True) -> list[int]:
        """Return the tokens of a text to continue, with a BOS if the model expects one.

        Names such as <|eot_id|> are the special tokens, unless `special` is false.
        """
        return self.tokenizer.encode_prompt(text, special=special)

    def encode_chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        date: datetime.date | None = None,
    ) -> list[int]:
        """Return the tokens of a conversation in the model's own format, up to where its answer begins.

        Without `add_generation_prompt` they end behind the last message; with `continue_final_message` at the end of
        its text. `tools` are function definitions in OpenAI's form; `date` is today's by default.

        Raises:
            TemplateError: the model has no chat template, or that refuses the messages, or changes what is to go on.
        """
        if self.template is None:
            raise TemplateError(f"{self._weights.path}: the model has no chat template; it can only continue text")
        return encode_chat(
            self.tokenizer,
            self.template,
            messages,
            add_generation_prompt=flag("add_generation_prompt", add_generation_prompt),
            continue_final_message=flag("continue_final_message", continue_final_message),
            tools=tools,
            date=date,
        )

    def generate(
        self,
        prompt: str | Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        stop_loops: bool = False,
        top_logprobs: int = 0,
        grammar: Grammar | None = None,
        lookup: int = 0,
        draft: Speaker | None = None,
        draft_tokens: int = 4,
        session: Session | None = None,
        **options: Unpack[SamplingOptions],
    ) -> Generator[Piece, None, None]:
        """Continue a text (or token ids).

        Args:
            prompt: the text, in which names such as <|eot_id|> are the special tokens; a BOS is put in front if the
                model expects one. Token ids are taken as they are.
            max_tokens: how many to generate; by default until the model stops or the context is full.
            stop: strings that end the text, without being part of it.
            stop_loops: whether a text ends that does nothing but repeat its end.
            top_logprobs: how many of the most probable tokens each piece reports.
            grammar: what the text has to look like, see `pyllama3.constraint`.
            lookup: tokens to guess at a time from what the text repeats, which changes the speed only; 0 does not.
            draft: a smaller model with the same vocabulary that guesses `draft_tokens` at a time, for the same effect.
            draft_tokens: see `draft`.
            session: keeps what it shares with the prompt, and holds the text afterwards; by default a new one.
            options: those of `SamplerOptions`; the defaults are `sampling`.

        Raises:
            ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
            OptionError: an option is unknown, of a wrong type or out of range.
        """
        ids = self._read(prompt)
        if session is not None and instance("session", session, Session, "a Session").model is not self._model:
            raise OptionError("the session is one of another model")
        settings = sampler_options(options, self.sampling)
        constraint = None if grammar is None else self.constraint(grammar)
        drafter = find_drafter(self, lookup, draft, draft_tokens)
        session = self.session() if session is None else session
        return generate(
            session,
            self.tokenizer,
            session.reuse(ids),
            options=settings,
            max_tokens=max_tokens,
            stop=stop,
            stop_loops=stop_loops,
            top_logprobs=top_logprobs,
            constraint=constraint,
            drafter=drafter,
        )

    def chat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        date: datetime.date | None = None,
        **options: Unpack[TextOptions],
    ) -> Generator[Piece, None, None]:
        """Answer a conversation of {"role", "content"} messages; `options` are those of `generate`.

        With `continue_final_message` the answer is what comes behind the text of the last message.

        Raises:
            ContextError: the conversation, or it and `max_tokens`, do not fit into the context.
            OptionError: an option is unknown or out of range.
            TemplateError: the model has no chat template, or the template refuses the messages.
        """
        ids = self.encode_chat(messages, continue_final_message=continue_final_message, tools=tools, date=date)
        return self.generate(ids, **options)

    def agenerate(self, prompt: str | Sequence[int], **options: Unpack[TextOptions]) -> AsyncGenerator[Piece, None]:
        """Continue a text as `generate` does, for `async for`; cancelling the task ends it after what is being read."""
        from .generation.asynchronous import stream  # nobody else waits for asyncio

        session = options["session"] = options.get("session") or self.session()
        return stream(self.generate(prompt, **options), session)

    def achat(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        continue_final_message: bool = False,
        tools: Sequence[Mapping[str, Any]] | None = None,
        date: datetime.date | None = None,
        **options: Unpack[TextOptions],
    ) -> AsyncGenerator[Piece, None]:
        """Answer a conversation as `chat` does, for `async for`; see `agenerate`."""
        ids = self.encode_chat(messages, continue_final_message=continue_final_message, tools=tools, date=date)
        return self.agenerate(ids, **options)

    def embed(
        self, texts: str | Sequence[str], *, pooling: Pooling = "mean", normalize: bool = True
    ) -> NDArray[np.float32]:
        """Return a vector for each text (len(texts), dim): its last hidden states, pooled, by default of length 1.

        Names of special tokens are text. `pooling` "mean" takes the mean of all tokens, "last" the last one.

        Raises:
            ContextError: a text does not fit into the context.
            OptionError: the pooling is unknown, or a text has no tokens.
        """
        texts = [texts] if isinstance(texts, str) else items("texts", texts, "texts")
        ids = [self.encode_prompt(text, special=False) for text in texts]
        return embed(self._model.in_engine, ids, context=self.context, pooling=pooling, normalize=normalize)

    def trace(self, prompt: str | Sequence[int]) -> Trace:
        """Run a text (or token ids) through the model and return what each layer computes, as arrays.

        Raises:
            ContextError: it does not fit into the context.
            OptionError: there are no tokens.
        """
        return Trace(self._model.in_engine, self._read(prompt), context=self.context)

    def generation(
        self,
        prompt: Sequence[int],
        *,
        max_tokens: int | None = None,
        stop: str | Sequence[str] = (),
        stop_loops: bool = False,
        top_logprobs: int = 0,
        grammar: Grammar | None = None,
        keep_logits: bool = False,
        **options: Unpack[SamplingOptions],
    ) -> Generation:
        """Return a text in the making, for a `scheduler`; the arguments are those of `generate` and `Generation`.

        Raises:
            ContextError: the prompt, or the prompt and `max_tokens`, do not fit into the context.
            OptionError: an option is unknown or out of range.
        """
        return Generation(
            self._model.engine,
            self.config.vocab_size,
            self.tokenizer,
            check_ids(prompt, self.config.vocab_size),
            context=self.context,
            options=sampler_options(options, self.sampling),
            max_tokens=max_tokens,
            stop=stop,
            stop_loops=stop_loops,
            top_logprobs=top_logprobs,
            constraint=None if grammar is None else self.constraint(grammar),
            keep_logits=keep_logits,
        )

    def scheduler(self, sequences: int) -> Scheduler:
        """Return what generates so many texts at once.

        Raises:
            BackendError: there is not enough memory.
        """
        return Scheduler(self._model, context=self.context, sequences=sequences, make_passes=self._make_passes)

    def constraint(self, grammar: Grammar) -> Constraint:
        """Return the constraint that a grammar puts on a text of this model.

        Raises:
            OptionError: llguidance is not installed, or the grammar is too large.
        """
        return self._grammar_compiler.constraint(grammar)

    @functools.cached_property
    def _grammar_compiler(self) -> GrammarCompiler:
        return GrammarCompiler(self.tokenizer, self.config.vocab_size)

    def _read(self, prompt: str | Sequence[int]) -> Sequence[int]:
        ids = self.encode_prompt(prompt) if isinstance(prompt, str) else items("the prompt", prompt, "token ids")
        if not ids:
            raise OptionError("the prompt is empty, and the model has no token to begin a text with")
        return ids

    def close(self) -> None:
        """Let go of the weights; the model can not be used any more."""
        self._weights.close()
        self._open_model = None

    def __enter__(self) -> Llama:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
