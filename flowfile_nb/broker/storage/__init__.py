"""
Object storage through the broker: what is shared is one bucket or a part of it, what a member gets are links to single objects.

The key stays in the worker. It lists there, and signs links that are good for a minute each; the objects themselves go between
the storage and the member's kernel, and never through the broker.
"""
