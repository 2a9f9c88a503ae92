"""Blanks of the workbook, and what grades them."""
