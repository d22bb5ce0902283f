"""Training one run with several processes: the process group, gradient averaging and failure detection."""
