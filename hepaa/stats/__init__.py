"""From scores to numbers: performance, histograms, significance, calibration, background and likelihood."""
