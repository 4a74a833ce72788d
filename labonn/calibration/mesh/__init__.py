"""Self-configuration of interferometer meshes."""
