"""
What may go wrong with a store, done to it on purpose and counted: `python -m tests.reliability`.

Nothing here measures time. Each trial says what was tried and how often, what was lost and what was wrong; its random numbers
come from a seed that is printed, so a run can be had again.
"""
