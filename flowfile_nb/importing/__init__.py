"""Credentials that are in files, variables or keychains already, moved into the store: `%secret import`."""
