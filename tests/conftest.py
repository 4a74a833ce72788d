"""What all tests share: hypothesis without deadlines, which only measure how busy the computer is."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("labonn", deadline=None)
settings.load_profile("labonn")
