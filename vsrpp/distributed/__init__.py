"""Several processes that train one run: how they meet, talk, and notice that one is missing."""
