"""The training loop, its contract and its run folder."""
