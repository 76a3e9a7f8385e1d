"""Loss functions: style, adversarial, contrastive, likelihood, checkerboard artifacts."""
