"""Undervolt: a city's building permits, answered exactly."""
