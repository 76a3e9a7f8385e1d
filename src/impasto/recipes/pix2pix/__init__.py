"""Training of pix2pix."""
