"""How the stack tells a person what it does."""

from collections.abc import Callable

Say = Callable[[str], None]


def silent(_: str) -> None:
    """Say nothing."""
