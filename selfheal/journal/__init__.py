"""An append-only journal in JSON lines: one writer, any number of readers, nothing half written."""

from selfheal.journal.entry import Entry
from selfheal.journal.following import follow
from selfheal.journal.reader import Reading, ReadReport, read_journal
from selfheal.journal.settings import JournalConfig
from selfheal.journal.writer import Journal

__all__ = ["Entry", "Journal", "JournalConfig", "ReadReport", "Reading", "follow", "read_journal"]
