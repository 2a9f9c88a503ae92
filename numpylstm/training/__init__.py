"""Training: from a configuration to a finished run in its folder.

`loop` makes one update after another and `metrics` sums them up. `session` resumes a run in its
folder and trains it to the end: `run_folder` holds the files (`checkpoint`, `gradient_log`,
`sample_log`), `display` shows and times the run, `thread_trials` finds the best number of threads,
`signals` stops it, and `parallel` shares it between processes. Before a run, `gradient_check`
compares its gradients with slopes.
"""
