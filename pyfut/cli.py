"""The command line, with fut's options."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from pyfut import __version__
from pyfut.c.generator import CGenerator
from pyfut.checks.analyzer import analyze
from pyfut.errors import Diagnostics, Position
from pyfut.python.generator import PythonGenerator
from pyfut.syntax.ast import Program
from pyfut.syntax.parser import parse

USAGE = """\
Usage: python -m pyfut [OPTIONS] -o FILE INPUT.fu
Options:
-o FILE    Write to the specified file, extension determines language
-n NAME    Specify C name prefix
-D NAME    Define conditional compilation symbol
-r FILE.fu Read the specified source file but don't emit code for it
-I DIR     Add directory to resource search path
-l LANG    Set target language explicitly: c, py
--help     Display this information
--version  Display version information
"""
LANGUAGES = ("c", "py")
RECURSION_LIMIT = 20_000
"""Enough for expressions of some thousand operators, which are trees as deep."""
SUCCESS, FAILURE, BAD_USAGE = 0, 1, 2


class UsageError(Exception):
    """The command line makes no sense."""


@dataclass
class Options:
    """What the command line asks for."""

    inputs: list[str] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    symbols: set[str] = field(default_factory=set)
    directories: list[str] = field(default_factory=list)
    prefix: str = ""
    language: str = ""


def parse_arguments(arguments: list[str]) -> Options:
    """Read the command line.

    Raises:
        UsageError: an option is unknown or lacks its value, or there is nothing to do.
    """
    options = Options()
    output = ""
    at = 0
    while at < len(arguments):
        argument = arguments[at]
        at += 1
        if not argument.startswith("-"):
            options.inputs.append(argument)
            continue
        if argument[1:] not in ("o", "n", "D", "r", "I", "l"):
            raise UsageError(f"Unknown option: {argument}")
        if at == len(arguments):
            raise UsageError(f"Option {argument} needs a value")
        value = arguments[at]
        at += 1
        if argument == "-o":
            output = value
        elif argument == "-n":
            options.prefix = value
        elif argument == "-D":
            options.symbols.add(value)
        elif argument == "-r":
            options.references.append(value)
        elif argument == "-I":
            options.directories.append(value)
        else:
            options.language = value
    if not output or not options.inputs:
        raise UsageError("Specify an output file with -o and at least one input file")
    options.outputs = expand_output(output, options.language)
    return options


def expand_output(output: str, language: str) -> list[str]:
    """Return `x.py,c` as `x.py` and `x.c`; with an explicit language the name is taken as it is.

    Raises:
        UsageError: the extension is not one of a target language.
    """
    if language:
        if language not in LANGUAGES:
            raise UsageError(f"Unknown language: {language}")
        return [output]
    stem, dot, extensions = output.rpartition(".")
    if not dot:
        raise UsageError("Don't know what language to translate to: no extension in the output file and no -l option")
    for extension in extensions.split(","):
        if extension not in LANGUAGES:
            raise UsageError(f"Unknown language: {extension}")
    return [f"{stem}.{extension}" for extension in extensions.split(",")]


def read_program(options: Options, diagnostics: Diagnostics) -> Program:
    """Parse all files and check the program."""
    program = Program(directories=options.directories)
    symbols = frozenset(options.symbols)
    for emitted, paths in ((False, options.references), (True, options.inputs)):
        for path in paths:
            try:
                text = Path(path).read_bytes().decode("utf-8-sig")
            except UnicodeDecodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1
                diagnostics.error(Position(path, line), "Invalid UTF-8")
                continue
            except OSError as error:
                diagnostics.error(Position(path, 0), error.strerror or "Cannot be read")
                continue
            parse(path, text.replace("\r\n", "\n"), symbols, diagnostics, program, emitted)
    if not diagnostics.errors:
        analyze(program, diagnostics)
    return program


def generate(options: Options, program: Program, diagnostics: Diagnostics) -> dict[str, str]:
    """Return the text of every output file by its name."""
    files: dict[str, str] = {}
    for output in options.outputs:
        language = options.language or output.rpartition(".")[2]
        if language == "py":
            files[output] = PythonGenerator(program, diagnostics).generate()
        else:
            header = f"{os.path.splitext(output)[0]}.h"
            generator = CGenerator(program, diagnostics, options.prefix)
            files[output] = generator.source(os.path.basename(header))
            files[header] = generator.header()
    return files


def write_files(files: dict[str, str]) -> None:
    """Write all files or none: each goes to a temporary file first, but what is no file, such as /dev/null."""
    written: list[tuple[str, str]] = []
    try:
        for output, text in files.items():
            name = os.path.realpath(output)
            if os.path.exists(name) and not os.path.isfile(name):
                with open(name, "w", encoding="utf-8", newline="\n") as stream:
                    stream.write(text)
                continue
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(name) or ".", prefix=".pyfut-")
            written.append((temporary, name))
            with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
        umask = os.umask(0)
        os.umask(umask)
        for temporary, name in written:
            os.chmod(temporary, 0o666 & ~umask)
            os.replace(temporary, name)
    finally:
        for temporary, _ in written:
            if os.path.exists(temporary):
                os.unlink(temporary)


def main(arguments: list[str]) -> int:
    """Run the compiler; return the exit code."""
    if "--help" in arguments:
        print(USAGE, end="")
        return SUCCESS
    if "--version" in arguments:
        print(f"pyfut {__version__}")
        return SUCCESS
    try:
        options = parse_arguments(arguments)
    except UsageError as error:
        print(f"pyfut: ERROR: {error}", file=sys.stderr)
        print(USAGE, end="", file=sys.stderr)
        return BAD_USAGE
    sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
    diagnostics = Diagnostics()
    program = read_program(options, diagnostics)
    files: dict[str, str] = {}
    if not diagnostics.errors:
        files = generate(options, program, diagnostics)
    if diagnostics.errors:
        for message in diagnostics.lines():
            print(message, file=sys.stderr)
        return FAILURE
    try:
        write_files(files)
    except OSError as error:
        print(f"pyfut: ERROR: {error.filename or options.outputs[0]}: {error.strerror}", file=sys.stderr)
        return FAILURE
    return SUCCESS
