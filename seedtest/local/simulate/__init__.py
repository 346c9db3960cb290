"""A believable cohort with known parameters: `seedtest simulate`."""

from seedtest.local.simulate.cohort import Cohort, simulate, write_truth
from seedtest.local.simulate.load import LoadedCohort, load_cohort
from seedtest.local.simulate.plan import SimulationPlan

__all__ = ["Cohort", "LoadedCohort", "SimulationPlan", "load_cohort", "simulate", "write_truth"]
