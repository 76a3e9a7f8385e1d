"""Style transfer by optimization of the pixels (Gatys et al. 2015)."""
