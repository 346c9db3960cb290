"""Run every benchmark and print its table."""

from benchmarks import bulk, calibration
from benchmarks.timing import machine

print(machine())
bulk.main()
print("\nCalibrating (median of 3)")
calibration.main()
