"""The service measured beside its limits, in one run on one machine: what `make bench` calls."""
