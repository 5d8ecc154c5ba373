"""One file per job, and the loop that runs them."""
