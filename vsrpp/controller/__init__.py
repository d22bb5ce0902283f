"""The adaptive controller: its phases and effects, and the plateau detectors it listens to."""
