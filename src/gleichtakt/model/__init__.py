"""What a calendar is: points in time, events, series, recurrence, iCalendar, free/busy, digests. Pure."""
