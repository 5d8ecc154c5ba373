"""How people and firms get connected: the doctor, and making a provider from a stored connection."""
