"""The same work in each library, written as its own documentation recommends.

A module here is named after its library and is imported only in that library's process. It has a
function for each task. Each takes a `Configuration` and the weights by path, and returns a function
that carries its state from call to call.

``train``     (x, y) -> (loss, gradient norm): one training step on a window (T, B); it comes with
              a second function that returns the parameters by path, matrices either way round
``evaluate``  (ids) -> (mean nll, accuracy): a text (N,), in windows
``sample``    (length, greedy) -> ids: that many tokens, one at a time
"""
