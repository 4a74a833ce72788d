"""Installed beside the packages: PyVISA looks for the backend of `…@labonn` in a module of this name."""

from labonn.visa_library import SimulatedVisaLibrary as WRAPPER_CLASS  # noqa: F401
