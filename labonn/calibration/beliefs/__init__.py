"""What a training believes of a bench, and whether it still holds."""
