"""Fixtures for all rooms: the engines, and what is downloaded at most once.

To add one: here if several rooms need it, else in the test file; helpers that are no fixtures are in tests/support.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest
from builds import portable_build
from engines import built_engine
from hypothesis import settings

from pyllama3.backends import BACKENDS, Engine
from pyllama3.errors import StoreError
from pyllama3.store.aliases import PackagedFile
from pyllama3.store.find import find_model, pull_packaged

# A shell that runs the tests in the background has told them to ignore Ctrl-C, and so the commands that they run.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The defaults of whoever runs the tests are not those of the tests.
os.environ["PYLLAMA3_CONFIG"] = os.devnull

# Meta's package of the model definitions; its wheel holds the tokenizer of Llama 3.
LLAMA3_TOKENIZER = PackagedFile(
    package="llama-models",
    version="0.3.0",
    wheel_size=6_612_946,
    member="llama_models/llama3/tokenizer.model",
    sha256="82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55",
)


_SLOW_ROOMS = {"analysis", "backends", "cluster", "drills", "server", "tools", "web"}
"""Rooms that `--quick` leaves out; of engines, it takes C only, and no test that is marked as thorough."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--quick", action="store_true", help="only the essential part")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("quick"):
        return
    essential = [item for item in items if _is_essential(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(essential)])
    items[:] = essential


def _is_essential(item: pytest.Item) -> bool:
    room = item.path.relative_to(Path(__file__).parent).parts[0]
    parameters = item.callspec.params if isinstance(item, pytest.Function) and hasattr(item, "callspec") else {}
    if room in _SLOW_ROOMS or item.get_closest_marker("thorough"):
        return False
    return {parameters.get(name, "c") for name in ("engine", "any_engine")} == {"c"}


@pytest.fixture(scope="session", params=BACKENDS)
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each backend in turn."""
    return built_engine(request.param)


@pytest.fixture(scope="session")
def both_engines() -> tuple[Engine, Engine]:
    """The C and the Python engine."""
    return built_engine("c"), built_engine("python")


@pytest.fixture(scope="session")
def portable() -> Path:
    """Folder of a build for any processor, and for some others."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler on the PATH")
    return portable_build()


@pytest.fixture(scope="session")
def smollm2_path() -> Path:
    """The default model, downloaded into the cache at most once."""
    try:
        return find_model("smollm2")
    except StoreError as error:
        pytest.skip(f"needs SmolLM2: {error}")


@pytest.fixture(scope="session")
def llama3_tokenizer_model() -> Path:
    """Meta's tokenizer.model: $PYLLAMA3_LLAMA3_TOKENIZER, else downloaded into the cache at most once."""
    if path := os.environ.get("PYLLAMA3_LLAMA3_TOKENIZER"):
        return Path(path)
    try:
        return pull_packaged(LLAMA3_TOKENIZER).path
    except StoreError as error:
        pytest.skip(f"needs Meta's tokenizer.model: {error}")


# pytest-xdist tells its processes the width of the terminal, and these would tell the commands that they run.
os.environ.pop("COLUMNS", None)

# The first call of a kernel may compile it, and others may use the machine.
settings.register_profile("pyllama3", deadline=None)
settings.load_profile("pyllama3")
