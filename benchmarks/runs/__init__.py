"""What lies in a run's folder: names, locks, progress, weights, encoded features."""
