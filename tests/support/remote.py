"""C engines for other processors, each in a process that an emulator runs and that is called through pipes.

The process is a server whose C is made from the generated header. Both sides map the same memory, where arrays are.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import subprocess
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pyllama3.backends.binding import make_classes
from pyllama3.backends.header import CType, Function, Header, parse_header
from pyllama3.backends.memory import Memory, MemoryEngine

MEMORY = 1 << 33  # addresses; pages are taken when they are used
ARGUMENTS = 24
"""Most arguments of a function. A call is its number and as many slots of 8 bytes, and its answer one."""

SERVER = """\
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include "llama3.h"

typedef union {
    int64_t i;
    double d;
    void *p;
} Slot;

int main(int argc, char **argv)
{
    (void) argc;
    Slot call[1 + %(arguments)d], result;
    result.p = mmap(NULL, strtoull(argv[2], NULL, 10), PROT_READ | PROT_WRITE, MAP_SHARED, atoi(argv[1]), 0);
    do {
        if (fwrite(&result, sizeof result, 1, stdout) != 1 || fflush(stdout) != 0)
            return 1;
        if (fread(call, sizeof call, 1, stdin) != 1)
            return 0;
        Slot *a = call + 1;
        switch (call[0].i) {
%(cases)s
        }
    } while (1);
}
"""


def server_source(header: Path) -> str:
    """Return the C of a server for the functions that a header declares."""
    declared = parse_header(header.read_text(encoding="utf-8"))
    cases = [f"        case {index}: {_call(function)}; break;" for index, function in enumerate(declared.functions)]
    return SERVER % {"arguments": ARGUMENTS, "cases": "\n".join(cases)}


def _call(function: Function) -> str:
    slots = [f"a[{index}].{_slot(type)}" for index, type in enumerate(function.parameters)]
    call = f"{function.name}({', '.join(slots)})"
    if function.result == CType("void", is_pointer=False):
        return call
    cast = "(void *) " if function.result.is_pointer else ""
    return f"result.{_slot(function.result)} = {cast}{call}"


def _slot(type: CType) -> str:
    return "p" if type.is_pointer else "d" if type.name in ("float", "double") else "i"


class Server(Memory):
    """A process with the engine."""

    def __init__(self, command: Sequence[str]) -> None:
        file = os.memfd_create("engine")
        os.ftruncate(file, MEMORY)
        self._mapped = mmap.mmap(file, MEMORY)
        self._process = subprocess.Popen(
            [*command, str(file), str(MEMORY)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[file]
        )
        os.close(file)
        weakref.finalize(self, _stop, self._process)
        super().__init__(ctypes.addressof(ctypes.c_uint8.from_buffer(self._mapped)), self._answer("q"))
        assert self._there != -1, "the emulator cannot map the memory"
        self._rest: tuple[int, int] | None = (0, MEMORY)

    def _answer(self, form: str) -> Any:
        assert self._process.stdout is not None
        answer = self._process.stdout.read(8)
        assert len(answer) == 8, f"the process of the engine ended with exit code {self._process.wait()}"
        return struct.unpack(f"<{form}", answer)[0]

    def find(self, declared: Function, header: Header) -> Callable[..., Any]:
        """Return a function that calls one of the process."""
        index = header.functions.index(declared)
        forms = ["d" if _slot(type) == "d" else "q" for type in declared.parameters]
        call_form = struct.Struct(f"<q{''.join(forms)}{8 * (ARGUMENTS - len(forms))}x")
        result_form = "d" if _slot(declared.result) == "d" else "q"
        result = bool if declared.result.name == "bool" else lambda value: value

        def call(*arguments: Any) -> Any:
            assert self._process.stdin is not None
            self._process.stdin.write(call_form.pack(index, *arguments))
            self._process.stdin.flush()
            return result(self._answer(result_form))

        return call

    def grow(self, size: int) -> tuple[int, int] | None:
        """Add all that both processes have, once."""
        added, self._rest = self._rest, None
        return added


def _stop(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    process.wait()


class RemoteEngine(MemoryEngine):
    """An engine in another process."""

    def __init__(self, name: str, header: Path, server: Server) -> None:
        super().__init__(make_classes(header, server), server)
        self.name = name
