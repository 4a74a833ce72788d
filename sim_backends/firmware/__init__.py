"""Instruments as their manuals describe them: bytes in, registers, bytes out. Knows no light and no driver."""
