"""Losses: style, likelihood, adversarial."""
