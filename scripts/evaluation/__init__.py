"""How well questions are understood, answered and told, measured against plans written by hand and SQL of its own."""
