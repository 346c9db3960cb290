"""What only a cluster can show: flows in real pods, and what becomes of runs whose pods are taken away."""
