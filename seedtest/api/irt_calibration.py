"""A calibration as the IRT service's contract describes it (domain §6), without HTTP."""

from dataclasses import dataclass

from seedtest.api.irt_requests import CalibrationOptions
from seedtest.irt import Calibration, Linking, LinkingConstants, Responses, calibrate, link
from seedtest.irt.em import Progress


@dataclass(frozen=True, eq=False)
class ServedFit:
    """A fit on the scale that it is answered on.

    Attributes
    ----------
    calibration
        The fit: free, linked, or with held anchors.
    linking
        How anchors that are not held carried the scale; None without such anchors, or beside held ones.
    n_anchors
        Anchors that are in the data and carry the scale, held or not.
    """

    calibration: Calibration
    linking: Linking | None
    n_anchors: int

    @property
    def constants(self) -> LinkingConstants | None:
        """The linking constants, if the fit was linked."""
        return None if self.linking is None else self.linking.constants

    @property
    def reason(self) -> str | None:
        """Why anchors that were given to carry the scale do not."""
        return None if self.linking is None else self.linking.reason


def serve_fit(
    responses: Responses, options: CalibrationOptions, progress: Progress | None = None
) -> ServedFit:
    """Fit the model, with the anchors in the role that they were given.

    Anchors that are fixed are held, with mean and variance of ability free: their scale needs no constants,
    and anchors beside them that are not fixed are starting values. Without fixed ones the fit is free and
    then put on the others' scale.

    Raises
    ------
    CalibrationError
        Where no model can be fitted to the answers.
    """
    held, loose = options.held, options.loose
    fit = calibrate(
        responses,
        model=options.model,
        anchors=held,
        start=options.starting_values,
        min_responses=options.min_responses,
        progress=progress,
    )
    if held is not None:
        return ServedFit(fit, None, int((held.index_of(fit.items.item_ids) >= 0).sum()))
    if loose is None:
        return ServedFit(fit, None, 0)
    linking = link(fit.items, loose, options.linking_method)
    linked = fit if linking.constants is None else fit.linked(linking.constants)
    return ServedFit(linked, linking, len(linking.used_ids))
