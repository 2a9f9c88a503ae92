"""Training: from a configuration to a finished run in its folder.

`loop` makes one update after another, at the rates of `schedules`; `metrics` sums them up.
`session` starts or resumes a run in its folder and trains it to the end: `run_folder` holds the
files (`checkpoint`, `logs`), `display` shows and times the run, `thread_trials` finds the best
number of threads, `signals` stops it, `parallel` shares each update between processes, and
`workers` starts and stops those. `fit` trains any model on batches of your own.
"""
