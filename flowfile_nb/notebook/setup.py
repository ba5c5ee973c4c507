"""The way to a master key where docker mode has none, as text: for a terminal, and for front ends without widgets."""

from __future__ import annotations

SETUP = """There is no master key yet: FLOWFILE_MODE=docker, and none is given. None is made silently.
  1. In a terminal, not in a notebook:  python -m flowfile_nb new-key
     It prints one line,  FLOWFILE_MASTER_KEY=…   (with  --file PATH  it writes it there, for you alone to read).
  2. Put the line into the .env file of the container, and a copy into a password manager: without the key nobody can open
     the secrets again.
  3. Start the container anew, restart this kernel, and run  %secret  again."""
