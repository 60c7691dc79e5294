"""Planted faults and healthy controls to one table: what the doctor names, cures, and leaves alone."""
