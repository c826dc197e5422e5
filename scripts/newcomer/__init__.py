"""From a fresh clone to a running service: what `make` calls, on the standard library alone."""
