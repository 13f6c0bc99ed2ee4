"""How text is cut into pieces before byte-level BPE merges inside them, by the names that GGUF files use.

The names, and which of them mean the same, are those of llama.cpp (src/llama-vocab.cpp).
"""

from __future__ import annotations

from dataclasses import dataclass

from .byte_level import GPT2_PATTERN, LLAMA3_PATTERN, SMOLLM_PATTERN

_WORDS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_UPPER, _LOWER = r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])"
_CASED = rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+%s|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*%s"
_CASED_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_SUFFIX = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
_ASIAN = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
_NO_STOPS = " ?[^(\\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+"
_CJK = "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"
_DEEPSEEK_REST = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


@dataclass(frozen=True, kw_only=True)
class PreTokenizer:
    """Regular expressions, each of which cuts the pieces that the one before has left: into matches, and the rest."""

    patterns: tuple[str, ...]
    names: tuple[str, ...] = ()
    """Names in GGUF files, the one to write first."""
    ignore_merges: bool = False
    """Whether a piece that is a token as a whole is taken as it is."""
    add_bos: bool = False
    """Whether models expect a BOS unless they say something else."""
    in_one: str | None = None
    """One expression whose matches are the pieces, if there is one."""


def _one(*names: str, pattern: str, ignore_merges: bool = False, add_bos: bool = False) -> PreTokenizer:
    return PreTokenizer(patterns=(pattern,), names=names, ignore_merges=ignore_merges, add_bos=add_bos, in_one=pattern)


def _several(*names: str, patterns: tuple[str, ...], in_one: str | None = None) -> PreTokenizer:
    return PreTokenizer(patterns=patterns, names=names, in_one=in_one)


LLAMA3 = _one(
    *("llama-bpe", "llama3", "llama-v3", "smaug-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"),
    "jina-v5-nano",
    pattern=LLAMA3_PATTERN,
    ignore_merges=True,
    add_bos=True,
)
"""Some early files of Llama 3 say smaug-bpe (ggml-org/llama.cpp#7724)."""
SMOLLM = _several(
    *("smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b", "mellum2"),
    patterns=(r"\p{N}", GPT2_PATTERN),
    in_one=SMOLLM_PATTERN,
)
DEFAULT = _several("default", patterns=(r"[\p{P}\$\+<=>\^~\|]+", GPT2_PATTERN, r"\p{N}+", "[0-9][0-9][0-9]"))
"""What llama.cpp takes where a file has no name."""

PRE_TOKENIZERS = (
    LLAMA3,
    SMOLLM,
    DEFAULT,
    _one("dbrx", pattern=LLAMA3_PATTERN),
    _one("chatglm-bpe", pattern=LLAMA3_PATTERN),
    _one("glm4", "glm5", pattern=LLAMA3_PATTERN, ignore_merges=True),
    _one(
        *("gpt-2", "phi-2", "mpt", "olmo", "jais", "trillion", "granite-docling", "exaone4", "gigachat", "a.x-4.0"),
        *("jina-es", "jina-de", "jina-v2-es", "jina-v2-de", "mellum", "modern-bert"),
        pattern=GPT2_PATTERN,
    ),
    _one(
        *("qwen2", "stablelm2", "deepseek-r1-qwen", "kormo", "f2llmv2", "hunyuan", "megrez", "solar-open", "grok-2"),
        pattern=_WORDS + r"|\p{N}" + _REST,
    ),
    _one("tekken", pattern=_CASED % ("", "") + r"|\p{N}" + _CASED_REST, ignore_merges=True, add_bos=True),
    _one(
        *("gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"),
        pattern=_CASED % (_SUFFIX, _SUFFIX) + r"|\p{N}{1,3}" + _CASED_REST,
    ),
    _several("falcon", patterns=(r"[\p{P}\$\+<=>\^~\|`]+", GPT2_PATTERN, "[0-9][0-9][0-9]")),
    _several("deepseek-v3", "hunyuan-dense", "joyai-llm", patterns=(r"\p{N}{1,3}", _CJK, _DEEPSEEK_REST)),
    _several("deepseek-coder", patterns=(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _ASIAN, r"\p{N}")),
    _several("bloom", "poro-chat", "gpt3-finnish", patterns=(_NO_STOPS,)),
    _several("viking", patterns=(_NO_STOPS, r"\p{N}")),
)
BY_NAME = {name: pre for pre in PRE_TOKENIZERS for name in pre.names}
