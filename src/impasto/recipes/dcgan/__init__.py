"""Training of DCGANs."""
