"""Training: from a configuration to a run in its folder, saved whatever happens.

`loop` makes one update after another, and `session` takes a run to its end in its folder: what
`run_folder` writes there (`checkpoint`, `gradient_log`, `sample_log`), what `progress` shows, how
many threads `pace` finds best, which texts `corpora` reads, and which `signals` ask it to stop.
`warm_up` calls every kernel once before a run begins. When it is over, `findings` says what stands
out, and `result` what is left of it, with its `timing` and its `provenance`; `comparison` puts
several runs side by side.
"""
