"""What the screens show, as pure functions from `Seen`, texts and a size to lines."""
