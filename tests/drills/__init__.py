"""What breaks underneath a run, and what is left of it: drills on real parts."""
