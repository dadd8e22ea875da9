"""The integer model: what it is, how it is written down, when it is legal, what it costs."""
