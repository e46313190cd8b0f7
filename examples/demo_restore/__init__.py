"""A service that loses its config, its data and its state while it works, and gets them back from a backup.

``python -m examples.demo_restore`` tells it as it happens.
"""
