"""`pyllama3 web`: serve the page in which a model answers inside the browser."""

from __future__ import annotations

from pathlib import Path

import click

from .options import model_option
from .output import say
from .progress import download_progress


@click.command("web", short_help="Serve a page in which a model answers inside the browser.")
@model_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8300, show_default=True, help="0 takes a free one.")
def command(model: str, host: str, port: int) -> None:
    """Serve the page that `invoke web` makes, and MODEL (a GGUF file) beside it, until Ctrl-C.

    The browser computes, by the engine as WebAssembly; nothing that is typed there comes here.
    """
    from ..backends import engine_dir
    from ..errors import BackendError, WeightsError
    from ..site import make_server
    from ..store.find import find_model
    from ..weights.formats.gguf import MAGIC

    folder = engine_dir() / "web"
    if not (folder / "index.html").is_file():
        raise BackendError(f"{folder}: the page is not there; in a checkout, 'invoke web' makes it")
    with download_progress(model) as progress:
        path = find_model(model, progress=progress)
    if not _begins_with(path, MAGIC):
        raise WeightsError(f"{path}: not a GGUF file, which the page reads; 'pyllama3 convert' makes one")
    with make_server(folder, path, host, port) as server:
        say(f"http://{host}:{server.server_address[1]}/ answers with {path.name}; Ctrl-C ends this")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            say(err=True)


def _begins_with(path: Path, magic: bytes) -> bool:
    """Tell whether a path is that of a file with some first bytes."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(magic)) == magic
