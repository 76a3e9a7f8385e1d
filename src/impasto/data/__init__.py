"""Pictures to learn from: folders, arrays, synthetic data."""
