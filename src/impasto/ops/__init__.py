"""Pure functions on tensors: statistics, color, filters, augmentation, optical flow."""
