"""`pyllama3 serve`: answer requests in OpenAI's form over HTTP, and a page to chat in."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import click

from ..errors import OptionError
from .opening import open_model, pipeline_options
from .options import chat_template_option, engine_options, given, model_option, pop_engine_options, sampler_options
from .output import say


@click.command("serve", short_help="Answer requests over HTTP, as OpenAI's API does.")
@model_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Listen on this address; 0.0.0.0 is all.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--parallel", type=click.IntRange(1, 128), default=8, show_default=True, help="Texts at a time.")
@click.option("--alias", metavar="NAME", help="What the model is called; by default as on the command line.")
@click.option(
    "--api-key",
    envvar="PYLLAMA3_API_KEY",
    show_envvar=True,
    metavar="KEY",
    help="Answer only who has this key; others see it on the command line, so use the variable.",
)
@click.option(
    "--cors",
    "origins",
    multiple=True,
    metavar="ORIGIN",
    help="Let pages of this origin ask, beside those of this machine; * is any. Can be repeated.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    help="Answer under this name, beside localhost, addresses and the machine's. Can be repeated.",
)
@pipeline_options
@chat_template_option
@engine_options
@sampler_options
def command(
    model: str,
    host: str,
    port: int,
    parallel: int,
    alias: str | None,
    api_key: str | None,
    origins: tuple[str, ...],
    hosts: tuple[str, ...],
    ray: str | None,
    pipeline: int | None,
    chat_template: str | None,
    **sampling: Any,
) -> None:
    """Answer requests in the form of OpenAI's API, several at a time, and show a page to chat in.

    An answer is the one that `run` gives with the same options and seed, whoever else is served. The cache has as many
    places of --context tokens as --parallel says. Sampler options are for requests that say nothing else.
    """
    try:
        from ..server.http import run
        from ..server.http.guard import Access
        from ..server.service import Service
    except ModuleNotFoundError as error:
        raise OptionError(f"serve needs {error.name}; install it with: pip install 'pyllama3[server]'") from None
    import socket

    options = pop_engine_options(sampling)
    listener = run.bind(host, port)
    url = run.address(listener)
    say(f"{url} is loading {model}", err=True)

    stack = ExitStack()

    def load() -> Service:
        llm = stack.enter_context(
            open_model(model, ray=ray, pipeline=pipeline, parallel=parallel, chat_template=chat_template, **options)
        )
        service = Service(llm, name=alias or Path(model).name, parallel=parallel, defaults=given(sampling))
        say(
            f"{url} is ready: {parallel} texts at a time of up to {llm.context} tokens; "
            f"their cache takes at most {service.cache_bytes / 1e6:.0f} MB "
            f"({llm.backend}, {llm.threads} thread{'s' if llm.threads > 1 else ''})",
            err=True,
        )
        return service

    names = {name.lower() for name in (*hosts, host, socket.gethostname())}
    with stack:
        run.run_server(listener, load, Access(api_key=api_key or None, hosts=names, origins=origins))
