"""Dark level, gain, linearity and noise of detectors."""
