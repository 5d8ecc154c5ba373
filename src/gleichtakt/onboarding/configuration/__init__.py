"""The whole configuration as one YAML file: read it, see what it would change, apply it, write out what is there.

`document` turns text into checked values with their line numbers, `reconcile` brings the database to them (or only says
what that would change), `export` writes a file that `reconcile` would find nothing to do for.
"""

from gleichtakt.onboarding.configuration.document import Faults, Wanted, read
from gleichtakt.onboarding.configuration.export import export
from gleichtakt.onboarding.configuration.reconcile import Change, apply

__all__ = ["Change", "Faults", "Wanted", "apply", "export", "read"]
