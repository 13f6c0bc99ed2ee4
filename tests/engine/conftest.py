"""The engines that kernels and the forward pass are tested on: more than the backends.

To add one: a name in tests/support/builds.py.
"""

from __future__ import annotations

import pytest
from builds import EVERYWHERE, find_engine

from pyllama3.backends import Engine


@pytest.fixture(scope="session", params=EVERYWHERE)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Each build for each processor in turn."""
    return find_engine(request, tmp_path_factory)


@pytest.fixture(scope="session", params=[*EVERYWHERE, "plain python"])
def any_engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Engine:
    """Each build for each processor in turn, and generated Python without native blocks."""
    return find_engine(request, tmp_path_factory)
