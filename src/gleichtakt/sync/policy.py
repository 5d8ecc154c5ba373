"""What a link may do: the settings by name, their defaults, and how the nearest level wins."""
