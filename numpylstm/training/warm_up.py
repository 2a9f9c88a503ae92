"""Call every kernel of a run once before the run begins.

Otherwise each would be compiled when it is first needed, some of them after hours: in the first
validation, in the final test, in the sample.
"""

import numpy as np

from numpylstm.checks import NotFinite
from numpylstm.data import Corpus, batches
from numpylstm.evaluation import evaluate
from numpylstm.optim import OPTIMIZERS, clip_by_global_norm
from numpylstm.parameters import Parameter, Rows
from numpylstm.sampling import generate
from numpylstm.training.loop import Run, validation_streams


@np.errstate(over="ignore", invalid="ignore")
def warm_up(run: Run, corpus: Corpus) -> None:
    """Call everything that the run will call once; the run itself stays the same, bit for bit.

    The kernels depend on the sizes, so the sizes are those of the run. Only the optimiser, whose
    kernels do not depend on them, takes its step on a separate small array.
    """
    config, model = run.config, run.model
    if config.impl != "fast":
        return
    drawn = model.rng.bit_generator.state
    validated = max(validation_streams(len(corpus.valid), config) // config.shards, 1)
    width = config.batch_size // config.shards
    x, y = next(batches(corpus.train, config.batch_size, config.num_steps))
    try:
        model.forward(x[:, :width], y[:, :width], model.zero_state(width))
        model.backward()
        clip_by_global_norm(run.optimizer.parameters, config.clip)
        dtype = np.dtype(config.dtype)
        parameter = Parameter(np.zeros((3, 2), dtype), "warm_up")
        optimizer = OPTIMIZERS[config.optimizer].from_config({"warm_up": parameter}, config)
        for gradient in (np.ones((3, 2), dtype), Rows(np.array([1]), np.ones((1, 2), dtype))):
            parameter.accumulate(gradient)
            optimizer.step()
            optimizer.zero_grad()
        for streams, T, text in (
            (validated, config.num_steps, corpus.valid),
            (min(config.test_streams, len(corpus.test) // 2), 35, corpus.test),
        ):
            evaluate(model, text[: streams * (T + 1)], streams, T)
        generate(model, corpus.test[:2], 2, banned=[run.vocabulary.unk_id], rng=0)
    except NotFinite:
        pass  # the run itself will report it
    finally:
        model.rng.bit_generator.state = drawn
        run.optimizer.zero_grad()
