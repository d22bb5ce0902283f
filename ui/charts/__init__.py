"""Charts as plain geometry, computed by pure functions; their markup stands in `ui/templates`."""
