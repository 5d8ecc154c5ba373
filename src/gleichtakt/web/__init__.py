"""REST, pages, sign-in. Asks the store, enqueues work, never syncs."""
