"""Trained networks at work: painters, translators, generators."""
