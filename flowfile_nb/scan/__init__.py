"""Stored values in files: where they stand in notebooks, text, databases and the git index, and how they are taken out."""
