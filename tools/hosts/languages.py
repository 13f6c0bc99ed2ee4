"""Languages: what is asked of the Fusion compiler, what compiles it, and what runs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """How the engine becomes a program in one language. Commands are run in the folder of the build."""

    code: str
    """Name of the language to the Fusion compiler."""
    file: str
    """Name of what it writes; in Java, it writes a file for each class beside it."""
    host: str | None
    """The host, in `hosts/`; None if there is none, and the generated code is only compiled."""
    compile: tuple[str, ...]
    """Command that compiles both; "*.java" stands for all such files. Empty for none."""
    run: tuple[str, ...]
    """Command that runs the host, in front of its arguments."""
    needs: str
    """What to install for these commands."""


LANGUAGES = {
    "cpp": Language(
        code="cpp",
        file="llama3.cpp",
        host="cpp/host.cpp",
        compile=("c++", "-std=c++20", "-O3", "-march=native", "-o", "host", "host.cpp", "llama3.cpp"),
        run=("./host",),
        needs="g++ or clang++",
    ),
    "cs": Language(
        code="cs",
        file="llama3.cs",
        host="cs/Host.cs",
        compile=("mcs", "-optimize", "-out:host.exe", "Host.cs", "llama3.cs"),
        run=("mono", "-O=all,float32", "host.exe"),
        needs="Mono: apt install mono-mcs mono-runtime",
    ),
    "d": Language(
        code="d",
        file="llama3.d",
        host="d/host.d",
        compile=("gdc", "-O3", "-march=native", "-fpreview=shortenedmethods", "-o", "host", "host.d", "llama3.d"),
        run=("./host",),
        needs="GDC: apt install gdc",
    ),
    "java": Language(
        code="java",
        file="llama3.java",
        host="java/Host.java",
        compile=("javac", "*.java"),
        run=("java", "-cp", ".", "Host"),
        needs="a JDK: apt install default-jdk-headless",
    ),
    "js": Language(
        code="js",
        file="llama3.mjs",
        host="js/host.mjs",
        compile=(),
        run=("node", "host.mjs"),
        needs="Node.js: apt install nodejs",
    ),
    "swift": Language(
        code="swift",
        file="llama3.swift",
        host=None,
        compile=("swiftc", "-O", "-parse-as-library", "-emit-library", "-o", "libllama3.so", "llama3.swift"),
        run=(),
        needs="Swift: swift.org/install",
    ),
    "ts": Language(
        code="ts",
        file="llama3.mts",
        host="js/host.mjs",
        compile=("tsc", "--target", "es2022", "--module", "es2022", "--strict", "false", "llama3.mts"),
        run=("node", "host.mjs"),
        needs="TypeScript: npm install -g typescript",
    ),
}
"""By the names that `invoke build --targets` takes."""
