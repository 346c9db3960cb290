"""Which scale a fit is published on (domain §5): the anchors', the last fit's, or one of its own."""

import datetime as dt
import re
from dataclasses import dataclass, replace
from enum import StrEnum

from seedtest.irt import (
    Calibration,
    ItemParameters,
    Linking,
    LinkingConstants,
    Prior,
    link,
    linked_elsewhere,
)
from seedtest.irt.linking import MIN_COMMON_ITEMS

FIRST_VERSION = "v1"
FIXED = "fixed"
"""Not a way to link: the anchors' parameters are held during the fit."""
BY_ENGINE = "engine"
"""The engine linked the fit itself."""


class Scale(StrEnum):
    """What a fit was put on; the values are stored in `mirt_fit_meta.model_spec.scale`."""

    ANCHORS = "anchors"
    LAST_FIT = "last fit"
    OWN = "own"


@dataclass(frozen=True)
class Fit:
    """The fit in force: its items, the ability distribution, and the scale it is on.

    `last_day` is the last day whose answers it saw; `unusable` are items whose parameters cannot be used.
    """

    items: ItemParameters
    prior: Prior
    version: str
    run_id: str | None
    on_anchors: bool
    last_day: dt.date | None = None
    unusable: tuple[str, ...] = ()

    @property
    def is_first(self) -> bool:
        """Whether nothing has been fitted yet."""
        return self.run_id is None


@dataclass(frozen=True)
class Published:
    """A fit on its published scale.

    Attributes
    ----------
    on_anchors
        Whether the scale is, directly or through earlier fits, the anchors'.
    free
        Item parameters of the free fit, on its own scale.
    linking
        How the free fit was linked, or the attempt that failed; of held anchors, how they were checked.
    reference
        The items that `linking` looked for: the anchors, or those of the last fit.
    n_anchors
        Anchors that are in the data and were kept.
    reason
        Why there are no constants, or why anchors that exist were not used.
    is_held
        Whether the anchors' parameters were held during the fit.
    """

    calibration: Calibration
    version: str
    scale: Scale
    on_anchors: bool
    free: ItemParameters
    linking: Linking
    reference: ItemParameters
    n_anchors: int
    reason: str | None
    is_held: bool = False

    @property
    def constants(self) -> LinkingConstants | None:
        """From the fit's own scale to the published one; None where the two are one."""
        return None if self.is_held else self.linking.constants

    @property
    def method(self) -> str:
        """How the fit came to its scale, as `mirt_fit_meta.model_spec.linking_method` names it."""
        return FIXED if self.is_held else str(self.linking.method or BY_ENGINE)

    @property
    def compared(self) -> ItemParameters:
        """The free fit's items where `linking` puts them: what the reference is compared with."""
        constants = self.linking.constants
        return self.free if constants is None else constants.apply_items(self.free)


def publish(free: Calibration, anchors: ItemParameters, last: Fit, method: str) -> Published:
    """Put a free fit on the scale that learners and operators know.

    1. Two or more usable anchors carry the fit to their scale. If they contradict each other, nothing
       can be trusted: the fit stays on its own scale under a new version.
    2. With fewer, the items of the last fit take their place, and the version stays.
    3. The first fit without anchors, or one that shares too little with the last, stays on its own
       scale; a new version says that its θ cannot be compared with earlier ones.
    """
    by_anchors = link(free.items, anchors, method)
    own = _on_its_own(free, by_anchors, anchors, last)
    if by_anchors.constants is not None:
        return _on_anchors(own, free.linked(by_anchors.constants), last)
    if last.is_first or own.n_anchors >= MIN_COMMON_ITEMS:
        return own
    by_items = link(free.items, last.items, method)
    tried = replace(own, linking=by_items, reference=last.items)
    if by_items.constants is None:
        return replace(tried, reason=f"{own.reason}; items of the last fit: {by_items.reason}")
    return replace(
        tried,
        calibration=free.linked(by_items.constants),
        version=last.version,
        scale=Scale.LAST_FIT,
        on_anchors=last.on_anchors,
    )


def publish_held(held: Calibration, checked: Published) -> Published:
    """Publish a fit that held the anchors which `checked`, the same answers' free fit, found to agree."""
    return replace(checked, calibration=held, is_held=True)


def publish_linked(
    linked: Calibration, constants: LinkingConstants, anchors: ItemParameters, last: Fit, method: str
) -> Published:
    """Publish a fit that its engine has put on the anchors' scale already, by these constants.

    With fewer than two usable anchors there is no such scale: the constants are taken back, and the fit
    is published like any other.
    """
    free = linked.linked(constants.inverse)
    linking = linked_elsewhere(free.items, anchors, constants)
    if len(linking.used_ids) < MIN_COMMON_ITEMS:
        return publish(free, anchors, last, method)
    return _on_anchors(_on_its_own(free, linking, anchors, last), linked, last)


def _on_anchors(own: Published, calibration: Calibration, last: Fit) -> Published:
    return replace(
        own,
        calibration=calibration,
        # Anchors that come later than a free fit move the scale: a new name, once.
        version=last.version if last.on_anchors else own.version,
        scale=Scale.ANCHORS,
        on_anchors=True,
        reason=None,
    )


def _on_its_own(free: Calibration, by_anchors: Linking, anchors: ItemParameters, last: Fit) -> Published:
    return Published(
        calibration=free,
        version=last.version if last.is_first else next_version(last.version),
        scale=Scale.OWN,
        on_anchors=False,
        free=free.items,
        linking=by_anchors,
        reference=anchors,
        n_anchors=len(by_anchors.used_ids),
        reason=f"anchors: {by_anchors.reason}",
    )


def next_version(version: str) -> str:
    """Return the name after this one: v1 → v2; a name of another form gets a number."""
    numbered = re.fullmatch(r"(.*?)(\d+)", version)
    return f"{numbered[1]}{int(numbered[2]) + 1}" if numbered else f"{version}-2"
