"""One pass over one link, step by step: observe, resolve, match, plan, settle.

Each step works from rows and leaves rows, so that a crash between or within steps loses nothing: the next pass goes on
from what is stored. `sync_link` joins the steps.
"""
