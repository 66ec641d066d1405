"""What every test can ask for."""

import socket
from collections.abc import Callable

import pytest

pytest_plugins = [
    "tests.servers.postgresql",
]


@pytest.fixture
def free_port() -> Callable[[], int]:
    """Ports on 127.0.0.1 that nobody listens on."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
            return port

    return find
