"""The calendar systems of others, one folder each, behind one protocol."""
