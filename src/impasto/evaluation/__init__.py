"""Evaluation of trained networks, and monitors of training."""
