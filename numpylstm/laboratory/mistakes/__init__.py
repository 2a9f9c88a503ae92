"""The catalogue of mistakes: records of what goes wrong in a backward pass.

The museum shows the famous ones (`famous`), the doctor tries them all (`catalogue`), and the
workbook's causes are the same records. Most are generated: `source` reads a function of the
textbook as lines, and `rules` yields wrong forms of each line.

To add a kind of mistake, see docs/explanation/mistakes.md.
"""
