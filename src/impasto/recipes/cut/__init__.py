"""Contrastive unpaired translation (CUT, FastCUT)."""
