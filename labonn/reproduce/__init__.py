"""Published results as experiments: declared once, carried out by a sweep, told as a table and a figure."""

from labonn.reproduce.choices import Choices
from labonn.reproduce.jobs import run_job, twin_job
from labonn.reproduce.rows import Row

__all__ = ["Choices", "Row", "run_job", "twin_job"]
