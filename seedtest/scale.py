"""Which scale a fit is published on (domain §5): the anchors', the last fit's, or one of its own."""

import re
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from seedtest.irt import Calibration, ItemParameters, Linking, LinkingConstants, Prior, link
from seedtest.irt.linking import MIN_COMMON_ITEMS
from seedtest.irt.parameters import FloatArray

FIRST_VERSION = "v1"


class Scale(StrEnum):
    """What a fit was put on; the values are stored in `mirt_fit_meta.model_spec.scale`."""

    ANCHORS = "anchors"
    LAST_FIT = "last fit"
    OWN = "own"


@dataclass(frozen=True)
class Fit:
    """The fit in force: its items, the ability distribution, and the scale it is on."""

    items: ItemParameters
    prior: Prior
    version: str
    run_id: str | None
    on_anchors: bool

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
    linking
        How the fit was linked, or the attempt that failed.
    n_anchors
        Anchors that are in the data and were kept.
    reason
        Why there are no constants, or why anchors that exist were not used.
    """

    calibration: Calibration
    version: str
    scale: Scale
    on_anchors: bool
    linking: Linking
    n_anchors: int
    reason: str | None

    @property
    def constants(self) -> LinkingConstants | None:
        """From the fit's own scale to the published one; None where the fit stays on its own."""
        return self.linking.constants


def publish(free: Calibration, anchors: ItemParameters, last: Fit, method: str) -> Published:
    """Put a free fit on the scale that learners and operators know.

    1. Two or more usable anchors carry the fit to their scale. If they contradict each other, nothing
       can be trusted: the fit stays on its own scale under a new version.
    2. With fewer, the items of the last fit take their place, and the version stays.
    3. The first fit without anchors, or one that shares too little with the last, stays on its own
       scale; a new version says that its θ cannot be compared with earlier ones.
    """
    by_anchors = link(free.items, anchors, method)
    n_anchors = len(by_anchors.used_ids)
    if by_anchors.constants is not None:
        # Anchors that come later than a free fit move the scale: a new name, once.
        version = last.version if last.is_first or last.on_anchors else next_version(last.version)
        return _linked(free, by_anchors, version, Scale.ANCHORS, n_anchors)
    reason = f"anchors: {by_anchors.reason}"
    if last.is_first:
        return _unlinked(free, by_anchors, last.version, n_anchors, reason)
    if n_anchors >= MIN_COMMON_ITEMS:
        return _unlinked(free, by_anchors, next_version(last.version), n_anchors, reason)
    by_items = link(free.items, last.items, method)
    if by_items.constants is None:
        reason = f"{reason}; items of the last fit: {by_items.reason}"
        return _unlinked(free, by_items, next_version(last.version), n_anchors, reason)
    published = _linked(free, by_items, last.version, Scale.LAST_FIT, n_anchors)
    return replace(published, on_anchors=last.on_anchors, reason=reason)


def _linked(free: Calibration, linking: Linking, version: str, scale: Scale, n_anchors: int) -> Published:
    constants = linking.constants
    calibration = free.linked(constants) if constants else free
    on_anchors = scale is Scale.ANCHORS
    return Published(calibration, version, scale, on_anchors, linking, n_anchors, reason=None)


def _unlinked(free: Calibration, linking: Linking, version: str, n_anchors: int, reason: str) -> Published:
    return Published(
        free, version, Scale.OWN, on_anchors=False, linking=linking, n_anchors=n_anchors, reason=reason
    )


def next_version(version: str) -> str:
    """Return the name after this one: v1 → v2; a name of another form gets a number."""
    numbered = re.fullmatch(r"(.*?)(\d+)", version)
    return f"{numbered[1]}{int(numbered[2]) + 1}" if numbered else f"{version}-2"


def displacement(published: Published, reference: ItemParameters) -> FloatArray:
    """Return b − b_reference (logits) of the items that carried the linking, (n_used,)."""
    used, fitted = published.linking.used_ids, published.calibration.items
    return np.asarray(fitted.b[fitted.index_of(used)] - reference.b[reference.index_of(used)])
