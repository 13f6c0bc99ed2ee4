"""`pyllama3 info`: what was built, by what, and what it runs on."""

from __future__ import annotations

import json
import platform

import click

from .output import say


@click.command("info", short_help="Show the build and the machine.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(as_json: bool) -> None:
    """Show which compilers made the engine, which backends there are, and what they run on."""
    from .. import __version__
    from ..backends import BACKENDS, engine_dir, find_variant, is_available, library_name, read_manifest
    from ..cpu import physical_cores
    from ..files import cache_dir
    from ..store.aliases import ALIASES

    manifest = read_manifest()
    backends = [name for name in BACKENDS if is_available(name)]
    if as_json:
        say(
            json.dumps(
                {
                    "version": __version__,
                    "engine": str(engine_dir()),
                    "backends": backends,
                    "library": library_name(find_variant()),
                    **manifest,
                },
                indent=1,
            )
        )
        return
    rows = [
        ("pyllama3", f"{__version__}, Python {platform.python_version()}"),
        ("engine", str(engine_dir())),
        ("backends", ", ".join(backends)),
        ("Fusion compiler", f"{manifest['compiler']} {manifest['compiler_version']}"),
        ("built", manifest["built"]),
    ]
    if "c" in backends:
        variant = find_variant()
        rows += [
            ("library", library_name(variant)),
            ("C compiler", manifest["cc_version"]),
            ("flags", " ".join(manifest["cflags"][f"{variant}.c"])),
            ("threads", f"{physical_cores()} (one per core)"),
        ]
    rows += [("models", f"{', '.join(ALIASES)}; cache: {cache_dir()}")]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        say(f"{name:{width}}  {value}")
