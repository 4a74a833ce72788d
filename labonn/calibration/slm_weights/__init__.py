"""Gray level of macropixels to signed field."""
