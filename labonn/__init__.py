"""labonn: train optical neural networks on the hardware itself, or dry-run the same bytes against simulated instruments."""

__version__ = "0.1.0"
