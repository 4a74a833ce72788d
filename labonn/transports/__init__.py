"""Transports behind the links: VISA, serial, TCP, ZeroMQ; each imported when first used."""
