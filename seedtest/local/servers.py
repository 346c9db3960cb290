"""The servers of the stack that listen on ports, and their addresses."""

from dataclasses import dataclass
from typing import Self

from seedtest.local.ports import HOST


@dataclass(frozen=True)
class PrefectServer:
    """The server that the stack's flows run on."""

    api_url: str
    # Of our own server; None: PREFECT_API_URL names another one.
    port: int | None = None

    @classmethod
    def on(cls, port: int) -> Self:
        """Return our own server on a port."""
        return cls(f"http://{HOST}:{port}/api", port)

    @property
    def is_own(self) -> bool:
        """Whether the stack runs it."""
        return self.port is not None


@dataclass(frozen=True)
class StoreServers:
    """The two servers of the stack's own object store: for S3 clients, and for browsers."""

    port: int
    links_port: int

    @property
    def url(self) -> str:
        """What S3_ENDPOINT_URL names."""
        return f"http://{HOST}:{self.port}"

    @property
    def links_url(self) -> str:
        """What links to reports start with."""
        return f"http://{HOST}:{self.links_port}"


@dataclass(frozen=True)
class Servers:
    """All of them."""

    prefect: PrefectServer
    api_port: int
    # None: S3_ENDPOINT_URL names another object store.
    store: StoreServers | None

    @property
    def theta_api_url(self) -> str:
        """Address of the θ API."""
        return f"http://{HOST}:{self.api_port}"
