"""Pure functions on tensors: statistics, color, filters, optical flow."""
