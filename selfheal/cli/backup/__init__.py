"""``selfheal backup``: backups made, proven, listed, compared, put back, thinned out and copied elsewhere."""

from selfheal.cli.backup.arguments import add_to

__all__ = ["add_to"]
