"""HTTP: the IRT service, and what it shares with the other APIs."""
