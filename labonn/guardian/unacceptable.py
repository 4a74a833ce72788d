"""What a message may be refused for before anything is done: malformed, too large, out of order."""


class Unacceptable(Exception):
    """A message that is answered with this text, and changes nothing."""
