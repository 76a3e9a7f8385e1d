"""Training of Johnson's fast style transfer."""
