"""Gleichtakt keeps the calendars of an application in two-way step with the calendars people already use."""

__version__ = "0.1.0"
