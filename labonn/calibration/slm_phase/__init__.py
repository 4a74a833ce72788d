"""Gray level of an SLM to phase."""
