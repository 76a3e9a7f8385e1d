"""Training of a new style embedding."""
