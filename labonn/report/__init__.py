"""A run as one HTML file: everything in it, nothing from elsewhere, to be mailed, printed and kept."""
