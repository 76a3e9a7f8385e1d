"""Training methods, one a folder: options and recipe."""
