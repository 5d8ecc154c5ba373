"""iCalendar text: reading, a lossless tree, patching, writing. RFC 5545, and what is sent under its name."""

from gleichtakt.model.ics.calendar import Broken, Reading, read_calendar, series_of
from gleichtakt.model.ics.component import Component, parse
from gleichtakt.model.ics.lines import Limits
from gleichtakt.model.ics.patching import patch
from gleichtakt.model.ics.writing import write_calendar

__all__ = ["Broken", "Component", "Limits", "Reading", "parse", "patch", "read_calendar", "series_of", "write_calendar"]
