"""Importing this raises."""

raise ValueError("the target fails")
