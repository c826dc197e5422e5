"""What may be recorded, and where: the one place that sets up logs and names metrics."""
