"""Pure parts: values in, values out. No files, clock, environment, network or IPython."""
