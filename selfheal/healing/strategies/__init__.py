"""Which problems are answered with which actions: records, files, and the strategies that ship."""
