"""Drafts of bench files: from a template or from drivers alone, filled in, commented, checked before they are written."""
