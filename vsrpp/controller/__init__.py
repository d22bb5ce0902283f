"""The adaptive controller: its phases, its effects, and its plateau detectors."""
