"""Credentials that lie in clear in other tools' files, read so that they can be stored."""
