"""Phase of heaters against their drives, with all crosstalk."""
