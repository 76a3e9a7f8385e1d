"""Training data: folders, arrays, synthetic data."""
