"""The report of a run: what it prints and saves at its end, and how several runs compare.

`summary` scores the test text, prints the outcome and writes the files. `result` is
``result.json``, `page` is ``report.html``, and `findings` are its sentences about common problems.
`comparison` puts several runs side by side.
"""
