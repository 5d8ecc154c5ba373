"""Simulated calendar systems on the wire, with faults on demand. Shipped with the product."""
