"""Item response theory: calibration, scoring and linking; arrays in, frozen dataclasses out, no I/O."""

from seedtest.irt.anchor_stability import AnchorStability, StabilityRule
from seedtest.irt.calibration import calibrate
from seedtest.irt.connectivity import Component, Connectivity, connectivity
from seedtest.irt.design import MODELS, ItemModel
from seedtest.irt.exclusions import Exclusion, ExclusionKind
from seedtest.irt.ingest import read_responses
from seedtest.irt.linking import Linking, LinkingConstants, LinkingMethod, link, linked_elsewhere
from seedtest.irt.model import information, probability
from seedtest.irt.parameters import (
    STANDARD_NORMAL,
    Abilities,
    AbilityEstimate,
    GroupScores,
    ItemParameters,
    Prior,
)
from seedtest.irt.priors import THIN_ITEM_PRIORS, Beta, ItemPriors
from seedtest.irt.responses import Responses
from seedtest.irt.results import Calibration
from seedtest.irt.scoring import Scorer, ScoringMethod, score, score_groups, score_responses
from seedtest.irt.standard_errors import ErrorKind
from seedtest.irt.stored import StoredResponses

__all__ = [
    "MODELS",
    "STANDARD_NORMAL",
    "THIN_ITEM_PRIORS",
    "Abilities",
    "AbilityEstimate",
    "AnchorStability",
    "Beta",
    "Calibration",
    "Component",
    "Connectivity",
    "ErrorKind",
    "Exclusion",
    "ExclusionKind",
    "GroupScores",
    "ItemModel",
    "ItemParameters",
    "ItemPriors",
    "Linking",
    "LinkingConstants",
    "LinkingMethod",
    "Prior",
    "Responses",
    "Scorer",
    "ScoringMethod",
    "StabilityRule",
    "StoredResponses",
    "calibrate",
    "connectivity",
    "information",
    "link",
    "linked_elsewhere",
    "probability",
    "read_responses",
    "score",
    "score_groups",
    "score_responses",
]
