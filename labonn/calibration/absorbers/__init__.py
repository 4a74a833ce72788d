"""Optical depth and saturation of absorbers."""
