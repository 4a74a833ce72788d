"""What the dashboard answers when it cannot: a sentence, and a number for the browser."""

from __future__ import annotations

from labonn.errors import LabonnError


class NotThereError(LabonnError):
    """There is no such thing (404)."""


class BadQuestionError(LabonnError):
    """It cannot be asked so (400)."""


class ForbiddenError(LabonnError):
    """Whoever asks may not (403)."""
