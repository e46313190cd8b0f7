"""selfheal beside the rest of the world: HTTP servers and third parties, one module each."""
