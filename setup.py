"""Packaging that pyproject.toml cannot express: the engine is built into the wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import Command, Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build
from setuptools.errors import CompileError

# Build back ends run this file without the checkout on the module path.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from tools.build_engine import ARTEFACTS, MANIFEST
from tools.build_engine import build as build_engine
from tools.running import BuildError
from tools.targets import find_target

TARGET = os.environ.get("PYLLAMA3_TARGET", "")
"""What the wheel is for: a name that `invoke build --target` takes; empty for this machine."""


class PackageStep(Command):
    """A step of `build` that puts files into the package, by setuptools' SubCommand protocol."""

    user_options: ClassVar[list[tuple[str, str, str]]] = []

    def initialize_options(self) -> None:
        """Declare the options that `build_py` and editable installs set."""
        self.build_lib: str | None = None
        self.editable_mode = False

    def finalize_options(self) -> None:
        """Take the directory from `build_py`."""
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    @property
    def package(self) -> Path:
        """The package that is being built."""
        return Path(str(self.build_lib), "pyllama3")

    def get_output_mapping(self) -> dict[str, str]:
        """Return nothing: editable installs have no copies of files of the checkout."""
        return {}


class BuildEngine(PackageStep):
    """Put the engine for the host into the package."""

    description = "transpile and compile the engine"

    @property
    def out(self) -> Path:
        """Directory of the engine inside the package."""
        return self.package / "_engine"

    def run(self) -> None:
        """Build, except for editable installs, which use what `invoke build` leaves in build/."""
        if self.editable_mode:
            return
        try:
            build_engine(self.out, profile="portable", target=TARGET)
        except BuildError as error:
            raise CompileError(str(error)) from error
        for source in self.get_source_files():  # for `pyllama3 source`
            self.copy_file(source, str(self.out))

    def get_source_files(self) -> list[str]:
        """Return the inputs, which belong into the sdist."""
        return [str(path) for path in sorted(Path("src").glob("*.fu"))]

    def get_outputs(self) -> list[str]:
        """Return the files that `run` may write."""
        if self.editable_mode:
            return []
        sources = [Path(source).name for source in self.get_source_files()]
        return [str(self.out / name) for name in (*ARTEFACTS, MANIFEST, *sources)]


class CopyTour(PackageStep):
    """Put the tour into the package, for `pyllama3 tour`."""

    description = "copy the tour and its pictures"

    def run(self) -> None:
        """Copy, except for editable installs, which read docs/ itself."""
        if self.editable_mode:
            return
        for source, copy in zip(self.get_source_files(), self.get_outputs(), strict=True):
            self.mkpath(str(Path(copy).parent))
            self.copy_file(source, copy)

    def get_source_files(self) -> list[str]:
        """Return the inputs, which belong into the sdist."""
        return ["docs/tour.md", *map(str, sorted(Path("docs/tour").glob("*.svg")))]

    def get_outputs(self) -> list[str]:
        """Return the files that `run` writes."""
        if self.editable_mode:
            return []
        return [str(self.package / "_docs" / Path(source).relative_to("docs")) for source in self.get_source_files()]


class EngineDistribution(Distribution):
    """A distribution that holds machine code."""

    def has_ext_modules(self) -> bool:
        """Make setuptools treat the package as one for this platform."""
        return True


class EngineWheel(bdist_wheel):
    """A wheel for this platform, or $PYLLAMA3_TARGET, and any Python 3: the library does not link to Python."""

    def get_tag(self) -> tuple[str, str, str]:
        """Return the tags of the interpreter, its ABI and the platform."""
        try:
            return "py3", "none", find_target(TARGET).wheel_tag or super().get_tag()[2]
        except BuildError as error:
            raise CompileError(f"PYLLAMA3_TARGET: {error}") from error


build.sub_commands += [("build_engine", None), ("copy_tour", None)]
setup(
    distclass=EngineDistribution,
    cmdclass={"build_engine": BuildEngine, "copy_tour": CopyTour, "bdist_wheel": EngineWheel},
    options={"build": {"build_base": "build/package"}},  # build/ itself is where `invoke build` puts the engine
)
