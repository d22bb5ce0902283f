"""What the screens show, as pure functions from `RunSnapshot`, texts and a size to lines."""
