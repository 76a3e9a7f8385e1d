"""Training of GANs."""
