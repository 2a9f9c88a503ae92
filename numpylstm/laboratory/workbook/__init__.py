"""The workbook: its blanks, their grading, and the teacher's desk."""
