"""Runnable examples: a reference service and the eight scenarios. Not installed with the package."""
