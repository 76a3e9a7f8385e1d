"""Training of the style predictor."""
