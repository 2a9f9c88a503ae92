"""The same work in each library, written as its own documentation recommends.

A module here is named after its library, and after how it is used where that is not the usual way;
it is imported only in a process of its own. It has its `VERSION` and a function for each kind of
work that the library offers. Each takes a `Configuration` and the weights by path, and returns a
function that carries its state from call to call.

``train``     (x, y) -> (loss, gradient norm): one training step on a window (T, B); it comes with
              a second function that returns the parameters by path, matrices either way round
``evaluate``  (ids) -> (mean nll, accuracy): a text (N,), in windows
``sample``    (length, greedy) -> ids: that many tokens, one at a time
``advance``   (ids (1, B), state) -> (logits (1, B, V), state): one time step; it comes with a
              second function that makes a state of the arrays (L, B, H) of its parts
"""
