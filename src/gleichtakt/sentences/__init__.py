"""The sentences a user reads, German and English, one file per area. `errors` joins them."""
