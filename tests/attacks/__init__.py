"""
Attacks by a member, with all of Python, on the team's broker: `python -m tests.attacks` prints what was tried and refused.

Each is first seen to succeed against a broker without just the defence that stops it (`weak`): an attack that cannot succeed
anywhere would prove nothing.
"""
