"""Plants with known faults: what the detectors are measured on."""
