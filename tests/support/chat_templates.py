"""The chat templates of public models. Their texts are their makers' and are not kept here: this is where they are."""

from __future__ import annotations

from pyllama3.store.aliases import PackagedFile
from pyllama3.store.find import find_model, pull_packaged
from pyllama3.weights.formats.gguf import read_gguf


def _of_trl(member: str, sha256: str) -> PackagedFile:
    """A template in a package of Hugging Face's, which has those of Meta's models as they are published."""
    return PackagedFile(package="trl", version="1.16.0", wheel_size=948_205, member=member, sha256=sha256)


META = {
    "llama-3": _of_trl(
        "trl/chat_templates/llama3.jinja", "ba03a121d097859c7b5b9cd03af99aafe95275210d2876f642ad9929a150f122"
    ),
    "llama-3.1": _of_trl(
        "trl/chat_templates/llama3_1.jinja", "e10ca381b1ccc5cf9db52e371f3b6651576caee0a630b452e2816b2d404d4b65"
    ),
    "llama-3.2": _of_trl(
        "trl/chat_templates/llama3_2.jinja", "5816fce10444e03c2e9ee1ef8a4a1ea61ae7e69e438613f3b17b69d0426223a4"
    ),
}
NAMES = ("smollm2", *META)


def load_template(name: str) -> str:
    """Return one of `NAMES`, downloaded into the cache at most once.

    Raises:
        StoreError: it cannot be had.
    """
    if name == "smollm2":
        return str(read_gguf(find_model("smollm2")).metadata["tokenizer.chat_template"])
    return pull_packaged(META[name]).path.read_text("utf-8")
