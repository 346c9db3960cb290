"""How well a calibrated model describes the answers, and how well the items measure."""

from seedtest.irt.fit.classical import ClassicalStatistics, classical_statistics
from seedtest.irt.fit.item_fit import ItemFit, item_fit
from seedtest.irt.fit.limited import ModelFit, model_fit
from seedtest.irt.fit.reliability import Reliability, reliability, test_information
from seedtest.irt.fit.residuals import MeanSquares, mean_squares

__all__ = [
    "ClassicalStatistics",
    "ItemFit",
    "MeanSquares",
    "ModelFit",
    "Reliability",
    "classical_statistics",
    "item_fit",
    "mean_squares",
    "model_fit",
    "reliability",
    "test_information",
]
