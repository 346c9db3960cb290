"""Who calls, and what they may do (domain §7)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Self

from seedtest.api.auth.challenges import insufficient_scope, invalid_token


class Scope(StrEnum):
    """The scopes that the API knows; tokens may carry others."""

    ANALYSIS_RUN = "analysis:run"
    EXAM_WRITE = "exam:write"
    REPORTS_VIEW = "reports:view"


UPDATERS: Final = frozenset({Scope.ANALYSIS_RUN, Scope.EXAM_WRITE})
"""Any of these may ask for a new θ."""
READERS: Final = frozenset({Scope.ANALYSIS_RUN, Scope.REPORTS_VIEW})
"""Any of these may read every learner's data."""


@dataclass(frozen=True)
class Caller:
    """The holder of a token, or the platform by its signature: without subject and scopes."""

    subject: str | None
    scopes: frozenset[str]

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any]) -> Self:
        """Return whom the claims of a verified token name; raise 401 for claims of a wrong type."""
        subject = claims.get("sub")
        if subject is not None and not _is_text(subject):
            raise invalid_token("The token's sub is not a text.")
        return cls(subject or None, _scopes(claims.get("scope")))

    def require_any(self, scopes: frozenset[Scope]) -> None:
        """Raise 403 unless one of the scopes is the caller's."""
        if self.scopes.isdisjoint(scopes):
            raise insufficient_scope(scopes)

    def may_read(self, user_id: str) -> bool:
        """Whether the caller may read a learner's data: everybody's, or their own."""
        return self.subject == user_id or not self.scopes.isdisjoint(READERS)

    def require_reader(self, user_id: str) -> None:
        """Raise 403 unless the caller may read a learner's data."""
        if not self.may_read(user_id):
            raise insufficient_scope(READERS)


def _scopes(claim: object) -> frozenset[str]:
    """Return the scopes of a claim that is a space-separated text or a list of texts."""
    match claim:
        case None:
            return frozenset()
        case str():
            return frozenset(claim.split(" ")) - {""}
        case list() if all(isinstance(scope, str) for scope in claim):
            return frozenset(claim)
        case _:
            raise invalid_token("The token's scope is neither a text nor a list of texts.")


def _is_text(value: object) -> bool:
    """Whether a JSON value is a text that can be written down: JSON also spells lone surrogates."""
    return isinstance(value, str) and value.encode("utf-8", "ignore").decode() == value
