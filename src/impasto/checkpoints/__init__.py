"""Files of weights: reading, writing, finding, loading."""
