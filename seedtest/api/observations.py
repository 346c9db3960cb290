"""Millions of answers read as numbers: nine bytes an answer, and each id once."""

from array import array
from collections import defaultdict
from itertools import count
from typing import Any, Final

import numpy as np
import polars as pl

from seedtest.api.json_events import KINDS, Reading, skip_rest
from seedtest.errors import RequestError
from seedtest.irt import Responses
from seedtest.irt.parameters import IndexArray

EVENT_OF: Final = {
    "user_id": "string",
    "item_id": "string",
    "is_correct": "boolean",
    "responded_at": "string",
}
WANTED: Final = {"string": "text", "boolean": "true or false"}


class Observations:
    """The field `observations` of a calibration, while it arrives and afterwards."""

    def __init__(self) -> None:
        self._users: defaultdict[str, int] = defaultdict(count().__next__)
        self._items: defaultdict[str, int] = defaultdict(count().__next__)
        self._user, self._item, self._correct = array("i"), array("i"), array("b")

    def __len__(self) -> int:
        return len(self._correct)

    def read(self) -> Reading:
        """Take the events of the list."""
        event, _ = yield
        if event != "start_array":
            raise RequestError(f"observations: must be a list, not {KINDS[event]}.")
        # What follows runs for every field of millions of answers: no call more than it needs.
        users, items = self._users, self._items
        add_user, add_item, add_correct = self._user.append, self._item.append, self._correct.append
        while (first := (yield))[0] == "start_map":
            answer: dict[str, Any] = {}
            while (field := (yield))[0] != "end_map":
                name = field[1]
                event, value = yield
                if event == EVENT_OF.get(name):
                    answer[name] = value
                else:
                    self._require_unknown(name, event)
                    yield from skip_rest(event)
            try:
                user, item, correct = answer["user_id"], answer["item_id"], answer["is_correct"]
            except KeyError as missing:
                raise RequestError(f"{self._here}.{missing.args[0]}: is missing.") from None
            add_user(users[user])
            add_item(items[item])
            add_correct(correct)
        if first[0] != "end_array":
            raise RequestError(f"{self._here}: must be an object, not {KINDS[first[0]]}.")

    def responses(self) -> Responses:
        """Return the answers with their ids in order, so that nothing depends on how they were sent.

        Raises
        ------
        RequestError
            For an id that is empty.
        """
        for name, ids in (("user_id", self._users), ("item_id", self._items)):
            if "" in ids:
                raise RequestError(f"observations: a {name} is empty.")
        user_ids, user = _ordered(self._users, self._user)
        item_ids, item = _ordered(self._items, self._item)
        correct = np.frombuffer(self._correct, dtype=np.bool_)
        return Responses.from_arrays(user_ids, item_ids, user, item, correct)

    @property
    def _here(self) -> str:
        return f"observations[{len(self)}]"

    def _require_unknown(self, name: str, event: str) -> None:
        """Raise for a field of the contract; what else a sender puts there is its own affair."""
        if name not in EVENT_OF or (name == "responded_at" and event == "null"):
            return
        wanted = WANTED[EVENT_OF[name]]
        raise RequestError(f"{self._here}.{name}: must be {wanted}, not {KINDS[event]}.")


def _ordered(ids: dict[str, int], numbers: "array[int]") -> tuple[tuple[str, ...], IndexArray]:
    """Return the ids in order, and for each answer the place of its id among them."""
    given = pl.Series(list(ids), dtype=pl.String)
    order = given.arg_sort()
    rank = np.empty(len(given), dtype=np.int32)
    rank[order.to_numpy()] = np.arange(len(given), dtype=np.int32)
    return tuple(given.gather(order).to_list()), rank[np.frombuffer(numbers, dtype=np.int32)]
