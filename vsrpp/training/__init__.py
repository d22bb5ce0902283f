"""The training loop, its adaptive controller, the plateau detectors, checkpoints and activity statistics."""
