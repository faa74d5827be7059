"""Measurements of speed, memory and exactness, each a module to run."""
