"""The example package is a package of its own: its tests run in an environment where it is installed (test_external_package.py)."""

collect_ignore = ["labonn_example"]
