"""The textbook: every forward pass with its backward pass, in plain NumPy.

Read the chapters in this order and you have read backpropagation through time. Nothing here is
fast and nothing is hidden; `numpylstm.functional` computes the same numbers quickly, and the tests
hold the two together.

Chapters
--------
Each is a file of this folder; every function is also a name of the package, such as
``numpylstm.reference.lstm_forward``.

1. ``nonlinearities.py``: sigmoid, tanh, relu, and their derivatives
2. ``rnn.py``: the vanilla recurrent network, and backpropagation through time
3. ``lstm.py``: long short-term memory
4. ``gru.py``: the gated recurrent unit
5. ``embedding.py``, ``linear.py``, ``dropout.py``: what stands around the recurrent layers
6. ``loss.py``: softmax and cross-entropy, and the squared error
7. ``updates.py``: gradient descent, momentum, Adam, and the norm for clipping

With these seven you can write, train and check a language model. Then:

8. ``padded_batches.py``: sequences of different lengths in one batch
9. ``state_dropout.py``: dropout of h on its way to the next step
10. ``scan.py``, ``mingru.py``, ``minlstm.py``: recurrent layers whose gates do not look back
11. ``slstm.py``: an LSTM with exponential gates
12. ``attention.py``: reading all steps of another sequence
13. ``linear_attention.py``, ``delta_rule.py``: states that are matrices

No layer or model uses the functions of the last two; they are for layers of your own.

How to read it
--------------
Letters
    T time steps (a long text is read in *windows* of T), B batch, D inputs, H hidden units, V words
    in the vocabulary. Time comes first: ids are (T, B), activations are (T, B, D), and ``x[t]`` is
    what the network sees at time t.
Names
    ``a`` is a weighted sum before its nonlinearity. ``dh`` is the gradient of the loss with respect
    to ``h`` and has its shape, and likewise for every name. ``h_prev`` is the ``h`` of step t-1.
Pairs
    ``y, cache = NAME_forward(x, ...)`` computes a value and keeps what its derivative will need.
    ``dx, ... = NAME_backward(dy, cache)`` turns the gradient of the result into the gradients of
    the arguments, in the order of the arguments. It is the chain rule, read from the last line of
    the forward pass to the first.

Three rules give every line of every backward pass:

1. ``y = f(a)`` elementwise:  ``da = dy * f'(a)``. So too for each factor of a product:
   ``y = u * v`` gives ``du = dy * v`` and ``dv = dy * u``; a term of a sum receives ``dy`` itself.
2. ``y = x @ W``:             ``dx = dy @ W.T``  and  ``dW = x.T @ dy``. (The shapes allow no other
   product, unless W is square as ``Wh`` of a vanilla network is: there nothing but a check tells
   ``dy @ W.T`` from ``dy @ W``.)
3. A value used in several places receives the **sum** of the gradients from those places. A weight
   used at every time step is such a value, a bias used in every row is another, and so is ``h``:
   step t hands it both to the layer above and to step t+1. That is all that "through time" means.

The functions are pure (no argument is changed, no randomness is drawn) and accept float32, float64
and complex128; only the updates of the optimisers write in place. Complex numbers are not a
curiosity: with a parameter set to ``w + 1e-30j``, the imaginary part of the loss divided by 1e-30
is the derivative, with no rounding error to speak of (the complex step). Every gradient here is
checked that way. It is why maxima, signs and comparisons look at the real part only.

The matrix products are NumPy's, and the library below it, a BLAS, may add up in another order with
another number of threads: every bit of a result is the same with one number of BLAS threads
(``OPENBLAS_NUM_THREADS`` fixes it for the BLAS that NumPy brings). `numpylstm.functional` does not
depend on it.

Sources: Elman (1990) for the vanilla network; Werbos (1990) for backpropagation through time;
Hochreiter and Schmidhuber (1997) and Gers, Schmidhuber and Cummins (2000) for the LSTM with its
forget gate; Cho et al. (2014) for the GRU; Feng et al. (2024) for minGRU and minLSTM; Beck et al.
(2024) for the sLSTM; Zaremba, Sutskever and Vinyals (2014) for where dropout goes; Gal and
Ghahramani (2016) for dropout of the state; Luong, Pham and Manning (2015) for attention;
Schmidhuber (1992), Katharopoulos et al. (2020), Schlag, Irie and Schmidhuber (2021) and Yang et al.
(2024) for states that are matrices; Pascanu, Mikolov and Bengio (2013) for clipping; Kingma and Ba
(2015) for Adam; Loshchilov and Hutter (2019) for AdamW; Squire and Trapp (1998) for the complex
step.
"""

from numpylstm.reference import (
    nonlinearities,
    rnn,
    lstm,
    gru,
    embedding,
    linear,
    dropout,
    loss,
    updates,
    padded_batches,
    state_dropout,
    scan,
    mingru,
    minlstm,
    slstm,
    attention,
    linear_attention,
    delta_rule,
)
from numpylstm.reference.nonlinearities import *
from numpylstm.reference.rnn import *
from numpylstm.reference.lstm import *
from numpylstm.reference.gru import *
from numpylstm.reference.embedding import *
from numpylstm.reference.linear import *
from numpylstm.reference.dropout import *
from numpylstm.reference.loss import *
from numpylstm.reference.updates import *
from numpylstm.reference.padded_batches import *
from numpylstm.reference.state_dropout import *
from numpylstm.reference.scan import *
from numpylstm.reference.mingru import *
from numpylstm.reference.minlstm import *
from numpylstm.reference.slstm import *
from numpylstm.reference.attention import *
from numpylstm.reference.linear_attention import *
from numpylstm.reference.delta_rule import *

__all__ = [
    *nonlinearities.__all__,
    *rnn.__all__,
    *lstm.__all__,
    *gru.__all__,
    *embedding.__all__,
    *linear.__all__,
    *dropout.__all__,
    *loss.__all__,
    *updates.__all__,
    *padded_batches.__all__,
    *state_dropout.__all__,
    *scan.__all__,
    *mingru.__all__,
    *minlstm.__all__,
    *slstm.__all__,
    *attention.__all__,
    *linear_attention.__all__,
    *delta_rule.__all__,
]
