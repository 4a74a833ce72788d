"""The true light: arrays in, arrays out. Knows no instrument."""
