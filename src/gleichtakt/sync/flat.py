"""A series as a flat table of fields: the form in which sides are compared, merged and shown.

Keys of the master are field names (`title`, `start`); an excluded occurrence is `exdate:<slot>` = true; an override's
field is `@<slot>:<field>` and stands only where it differs from what the occurrence would inherit, so that an edit of
the master's title and a move of one occurrence touch different keys. `@<slot>` = true says that the override exists.
A slot is the original start on the master's own wall clock. Values are JSON, so a flat form is stored as it is.
"""

from __future__ import annotations
