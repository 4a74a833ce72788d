"""Tapes: every exchange of a run as text, and links that play it back."""
