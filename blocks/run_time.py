"""What a run reads from blocks where its environment says nothing, each time anew, as secrets rotate."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from prefect.blocks.core import Block
from prefect.exceptions import ObjectNotFound
from pydantic import SecretStr

from blocks.diagnosis import BlockFaultError, Target, cannot_load
from blocks.faults import TOUCHING_FAILS, explain
from blocks.irt_service import IrtService
from blocks.secret_text import secret_text
from blocks.table import DATABASE_URL, IRT_SERVICE, IRT_TOKEN, STORES
from blocks.targets import target

B = TypeVar("B", bound=Block)

IRT_FIELDS = (
    "r_irt_base_url",
    "r_irt_internal_token",
    "r_irt_timeout_secs",
    "mirt_max_retries",
    "mirt_retry_delay_secs",
)


def load(block: type[B], name: str) -> B | None:
    """Return a block as the server has it now, or None without one.

    Raises
    ------
    BlockFaultError
        The document does not fit; the values that pydantic would quote stay out of the message.
    """
    try:
        # Typed as a coroutine too, which it is under an event loop only.
        return cast("B", block.load(name))
    except ValueError as error:
        if isinstance(error.__cause__, ObjectNotFound):
            return None
        raise
    except RuntimeError:
        subject = f"{block.get_block_type_slug()}/{name}"
        raise BlockFaultError(cannot_load(Target(subject, name))) from None


def values_for(missing: Collection[str]) -> dict[str, Any]:
    """Return those of the settings missing that blocks give.

    Raises
    ------
    BlockFaultError
        There is a block, but what it points at cannot be read; the message says how to mend it.
    """
    values: dict[str, Any] = {}
    if "database_url" in missing:
        values["database_url"] = database_url()
    if any(name in missing for name in IRT_FIELDS):
        values |= _irt_service(with_token="r_irt_internal_token" in missing)
    return {name: value for name, value in values.items() if name in missing and value is not None}


def database_url() -> SecretStr | None:
    """Return the database's address from the environment's secret store; None without a block of it."""
    for kind in STORES.values():
        subject = f"{kind.get_block_type_slug()}/{DATABASE_URL}"
        with _explained(Target(subject, DATABASE_URL)):
            block = load(kind, DATABASE_URL)
        if block is not None:
            with _explained(target(block, subject)):
                return secret_text(block)
    return None


def _irt_service(*, with_token: bool) -> dict[str, Any]:
    subject = f"{IrtService.get_block_type_slug()}/{IRT_SERVICE}"
    with _explained(Target(subject, IRT_TOKEN)):
        service = load(IrtService, IRT_SERVICE)
    if service is None:
        return {}
    with _explained(target(service, subject)):
        return service_settings(service, with_token=with_token)


def service_settings(service: IrtService, *, with_token: bool = True) -> dict[str, Any]:
    """Return the block's fields as the settings they stand for."""
    return {
        "r_irt_base_url": service.url,
        "r_irt_internal_token": service.read_token() if with_token else None,
        "r_irt_timeout_secs": service.timeout_secs,
        "mirt_max_retries": service.max_calls,
        "mirt_retry_delay_secs": service.retry_delay_secs,
    }


@contextmanager
def _explained(of: Target) -> Iterator[None]:
    """Say what an error of a store's client means and how to mend it."""
    try:
        yield
    except TOUCHING_FAILS as error:
        raise BlockFaultError(explain(of, error)) from error
