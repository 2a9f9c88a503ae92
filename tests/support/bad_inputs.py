"""Bad inputs and the message for each; unusual inputs that work.

The tests run every line of these tables. ``python -m tests.support.bad_inputs >
docs/bad-inputs.md`` makes a page of the documentation from them.
"""

from collections.abc import Iterable
from typing import NamedTuple

from .broken_checkpoints import BROKEN


class Command(NamedTuple):
    """A command line, a part of its message, and its exit status.

    It runs in the folder of `test_bad_inputs.workplace`.
    """

    line: str
    says: str
    status: int = 2


class Call(NamedTuple):
    """A Python expression, a part of its error message, and the class of the error.

    `test_bad_inputs.names` defines the names in it.
    """

    expression: str
    says: str
    error: type[Exception] = ValueError


TRAIN = [
    # the text
    Command("--train absent.txt", "absent.txt: must be a readable file"),
    Command("--train folder", "folder: must be a readable file, got a folder without .txt"),
    Command("--train cut.gz", "cut.gz: must be a complete gzip file, got one that cannot be"),
    Command("--train packed.bin.gz", "packed.bin.gz: must be UTF-8 text, got a NUL at byte 0"),
    Command("--train empty.txt", "empty.txt: the train split must hold at least 2"),
    Command("--train blank.txt", "blank.txt: the train text must have at least 420 tokens"),
    Command("--train -", "-: the train split must hold at least 2 tokens"),
    Command("--train unknown.txt", "the train text must have a token besides <unk>, got no other"),
    Command("--train short.txt", "short.txt: the train text must have at least 420 tokens"),
    Command("--train short.txt --level char --batch-size 999", "must have at least 50949 tokens"),
    Command("--train binary.bin", "binary.bin: must be UTF-8 text, got a NUL at byte 0"),
    Command("--train latin1.txt", "latin1.txt: must be UTF-8 text, got byte 0xe9 at byte 3"),
    Command("--train cut.txt", "cut.txt: must be UTF-8 text, got byte 0xc3"),
    Command("--train text.txt --valid empty.txt", "the valid split must hold at least 2 tokens"),
    Command("--train text.txt --test one-word.txt --level word --valid text.txt",
            "the test split must hold at least 2 tokens"),
    Command("--train /dev/zero", "/dev/zero: must be a readable file, got 'a device'"),
    Command("--train pipe", "pipe: must be a readable file, got 'a named pipe'"),
    Command("--valid text.txt", "--train must be given with a valid or test text"),
    Command("--data ptb --train text.txt",
            "--data cannot be combined with train: they name two corpora"),
    Command("--data absent", "absent: must be a readable file"),
    Command("--data folder", "folder: must hold ptb.train.txt"),
    Command("--data half", "got no ptb.test.txt; was it copied completely?"),
    Command("--data text.txt", "to use any other text, name it with --train"),
    Command("--data cut.tgz", "cut.tgz: must be a complete gzip file"),
    Command("--data other.tgz", "other.tgz: must hold data/ptb.train.txt"),
    Command("--data twice.tgz", "twice.tgz: must be a folder of Penn Treebank"),
    # sizes and rates
    Command("--hidden-size 0", "--hidden-size must be at least 1, got 0"),
    Command("--hidden-size many", "--hidden-size: invalid int value: 'many'"),
    Command("--train text.txt --hidden-size 10000000", "--hidden-size 10000000 needs"),
    Command(f"--train text.txt --hidden-size 1{'0' * 30}", "--hidden-size 1000"),
    Command("--train text.txt --no-tied --embedding-size 999999999999",
            "--embedding-size 999999999999 needs"),
    Command("--embedding-size 0 --no-tied", "--embedding-size must be at least 1, got 0"),
    Command("--num-layers 0", "--num-layers must be at least 1 and at most 100, got 0"),
    Command("--batch-size 0", "--batch-size must be at least 1, got 0"),
    Command("--train text.txt --batch-size 1000000", "the train text must have at least 21000000"),
    Command("--num-steps -1", "--num-steps must be at least 1, got -1"),
    Command("--steps 0", "--steps must be at least 1, got 0"),
    Command("--patience 0", "--patience must be at least 1, got 0"),
    Command("--shards 3", "--shards must divide batch_size 20, got 3"),
    Command("--max-eval 1", "--max-eval must be at least 2, got 1"),
    Command("--test-streams 0", "--test-streams must be at least 1, got 0"),
    Command("--max-vocab 1", "--max-vocab must be at least 2, got 1"),
    Command("--lr 0", "--lr must be above 0 and at most 3e+38, got 0.0"),
    Command("--lr fast", "--lr: invalid float value: 'fast'"),
    Command("--clip 0", "--clip must be above 0, got 0.0"),
    Command("--decay 0", "--decay must be above 0 and at most 1, got 0.0"),
    Command("--momentum 1", "--momentum must be at least 0 and below 1, got 1.0"),
    Command("--optimizer adam --momentum 0.5", "--momentum must be left out, got 0.5; it is a se"),
    Command("--weight-decay 0.1", "--weight-decay must be left out, got 0.1; it is a setting of"),
    Command("--optimizer adamw --weight-decay -1", "--weight-decay must be at least 0, got -1.0"),
    Command("--dropout 1", "--dropout must be at least 0 and below 1, got 1.0"),
    Command("--dropout-input 1", "--dropout-input must be at least 0 and below 1, got 1.0"),
    Command("--init-scale 1e300", "--init-scale must be at least 0 and at most 1000, got 1e+300"),
    Command("--forget-bias nan", "--forget-bias must be at least -1000 and at most 1000, got nan"),
    Command("--constant-epochs -1", "--constant-epochs must be at least 0, got -1"),
    Command("--schedule plateau --decay-patience 0", "--decay-patience must be at least 1, got 0"),
    Command("--decay-patience 2", "--decay-patience must be left out, got 2; it is a setting of"),
    Command("--log-every 0", "--log-every must be at least 1, got 0"),
    Command("--seed -1", "--seed must be at least 0, got -1"),
    # words
    Command("--preset huge", "--preset: invalid choice: 'huge'"),
    Command("--cell elman", "--cell: invalid choice: 'elman'"),
    Command("--cell gru --forget-bias 1.5", "--forget-bias must be left out, got 1.5"),
    Command("--cell gru --reset never", "--reset: invalid choice: 'never'"),
    Command("--reset before", "--reset must be left out, got 'before'"),
    Command("--activation swish", "--activation: invalid choice: 'swish'"),
    Command("--dtype float16", "--dtype: invalid choice: 'float16'"),
    Command("--impl gpu", "--impl: invalid choice: 'gpu'"),
    Command("--level byte", "--level: invalid choice: 'byte'"),
    Command("--schedule cosine", "--schedule: invalid choice: 'cosine'"),
    Command("--optimizer adagrad", "--optimizer: invalid choice: 'adagrad'"),
    Command("--colour red", "unrecognized arguments: --colour red"),
    Command("--hiden-size 9", "unrecognized arguments: --hiden-size 9; did you mean --hidden-"),
    Command("--n-layers=3", "unrecognized arguments: --n-layers=3; did you mean --num-layers?"),
    Command("text.txt", "unrecognized arguments: text.txt"),
    Command("--tied --embedding-size 3", "--tied needs embedding_size = hidden_size"),
    # the run
    Command("--threads 0", "--threads must be from 1 to"),
    Command("--stop-after 0h", "--stop-after: must be a time such as 90s, 30m or 2h; got '0h'"),
    Command("--stop-after 90", "--stop-after: must be a time such as 90s, 30m or 2h; got '90'"),
    Command("--save-every 0", "--save-every: must be a number of steps such as 500"),
    Command("--train text.txt --out run", "--out run is not empty; name a new folder, or continue"),
    Command("--train text.txt --out text.txt", "--out text.txt is a file"),
    Command("--train text.txt --out text.txt/run", "--out text.txt/run cannot be used: Not a dir"),
    Command("--train text.txt --out /proc/nowhere/run", "--out /proc/nowhere/run cannot be used"),
    # going on
    Command("--resume absent", "--resume absent is not a folder"),
    Command("--resume folder", "--resume folder holds no last.npz"),
    Command("--resume run --seed 1 --lr 2", "--lr cannot change in a resumed run"),
    Command("--resume run --log-gradients", "--log-gradients cannot change in a resumed run"),
    Command("--resume run --train other.txt", "this text is not the one that the run was started"),
    Command("--resume run --epochs 1", "--epochs must be at least 2, which are done; got 1"),
    Command("--resume run --out elsewhere", "--out is for a new run; --resume continues in"),
    Command("--resume run --init-from run", "--init-from is for a new run; --resume continues"),
    Command("--resume run --check-gradients", "--check-gradients is for a new run; --resume"),
    Command("--resume limited --epochs 9", "--epochs cannot continue a run that steps ended"),
    Command("--resume limited --steps 2", "--steps must be at least 5, which are done; got 2"),
    Command("--resume changed-text", "this text is not the one that the run was started with"),
    Command("--resume device-text", "/dev/zero: must be a readable file, got 'a device'"),
    Command("--resume pipe-text", "pipe: must be a readable file, got 'a named pipe'"),
    Command("--resume secret-text", "this text is not the one that the run was started with"),
    Command("--resume long-windows", "the train text must have at least 400004 tokens for 4"),
    Command("--resume vast-windows", "--num-steps 1000000000 needs"),
    Command("--resume missing-text", "gone.txt: must be a readable file"),
    Command("--resume moved-window", "the run cannot be at window 999 of"),
    # from another run
    Command("--init-from absent", "absent: No such file or directory"),
    Command("--init-from folder", "folder holds no best.npz; name the folder of a run"),
    Command("--init-from run --hidden-size 9", "--hidden-size cannot change with --init-from"),
    Command("--init-from run --level char", "--level cannot change with --init-from: it comes"),
    Command("--init-from run --activation relu", "--activation cannot change with --init-from"),
    Command("--init-from run --max-vocab 9", "--max-vocab cannot change with --init-from: it"),
    Command("--split-punctuation --level char", "--split-punctuation is for words of your"),
    Command("--init-from run --preset small", "--preset cannot be combined with --init-from"),
    Command("--init-from run --train empty.txt", "empty.txt: the train split must hold at least 2"),
    # numbers that go bad in the run
    Command("--lr 1e39", "lr must be above 0 and at most 3e+38, got 1e+39"),
    Command("--train text.txt --out bad-2 --lr 1e30 --clip 1e30",
            "at epoch 1, step 2; usually the learning rate is too high", 1),
    Command("--train text.txt --out bad-3 --cell rnn --activation relu --init-scale 1000 "
            "--dtype float32 --num-steps 40",
            "at epoch 1, step 1; usually the learning rate is too high", 1),
    Command("--train text.txt --out bad-4 --init-scale 100 --check-gradients",
            "slopes are lost in rounding with these initial values (init_scale 100)", 1),
]  # fmt: skip

EVAL = [
    Command("", "the following arguments are required: RUN"),
    Command("absent.npz", "absent.npz: No such file or directory"),
    Command("folder", "folder holds no best.npz; name the folder of a run, or a checkpoint in it"),
    Command("begun", "begun holds no best.npz; no epoch of its run has ended yet, so name begun"),
    Command("text.txt", "text.txt is not a whole checkpoint"),
    Command("other.npz", "other.npz is not a whole checkpoint"),
    Command("run/best.npz run/last.npz", "unrecognized arguments: run/last.npz"),
    Command("run/best.npz --text folder", "folder: must be a readable file, got a folder without"),
    Command("run --text -", "-: must hold at least 2 tokens for one stream, got 0"),
    Command("run/best.npz --text empty.txt", "empty.txt: must hold at least 2 tokens for one str"),
    Command("run/best.npz --text binary.bin", "binary.bin: must be UTF-8 text"),
    Command("run/best.npz --data folder", "folder: must hold ptb.train.txt"),
    Command("run/best.npz --data ptb --text text.txt", "--data and --text name two texts"),
    Command("run --max-tokens 1", "--max-tokens must be at least 2, got 1"),
    Command("run --max-tokens 9 --split train", "--max-tokens is for --text and the splits valid"),
    Command("run --text text.txt --split valid", "--split is for a corpus; --text is scored as a"),
    Command("run/best.npz --split all", "--split: invalid choice: 'all'"),
    Command("run/best.npz --protocol quick", "--protocol: invalid choice: 'quick'"),
    Command("run/best.npz --protocol tutorial", "--protocol tutorial: tutorial_protocol: ids must"),
    Command("run/best.npz --protocol tutorial --batch-size 20", "--batch-size is for --protocol"),
    Command("exploding.npz", "the scores of the model are not finite, or its perplexity", 1),
    Command("run/best.npz --batch-size 0", "--batch-size must be at least 1, got 0"),
    Command("run/best.npz --batch-size 5000", "must hold at least 10000 tokens for 5000 streams"),
    Command("run/best.npz --num-steps 0", "--num-steps must be at least 1, got 0"),
    Command("run/best.npz --threads 0", "--threads must be from 1 to"),
    Command("pipe", "pipe is not a file; name best.npz or last.npz of a run"),
    Command("run/best.npz --text pipe", "pipe: must be a readable file, got 'a named pipe'"),
    Command("changed-text/last.npz",
            "the run was started with; it has changed since: name the text with --text"),
    Command("device-text/last.npz", "/dev/zero: must be a readable file, got 'a device'"),
    Command("pipe-text/last.npz", "pipe: must be a readable file, got 'a named pipe'"),
    Command("secret-text/last.npz", "this text is not the one that the run was started with"),
    Command("missing-text/last.npz", "gone.txt: must be a readable file"),
]  # fmt: skip

SAMPLE = [
    Command("", "the following arguments are required: RUN"),
    Command("absent.npz", "absent.npz: No such file or directory"),
    Command("folder", "folder holds no best.npz; name the folder of a run"),
    Command("run/best.npz --temperature -1", "temperature must be finite and at least 0, got -1.0"),
    Command("run/best.npz --top-k 0", "top_k must be at least 1, got 0"),
    Command("run/best.npz --length -1", "length must be from 0 to 1000000000, got -1"),
    Command("run/best.npz --length 1000000000000", "length must be from 0 to 1000000000, got"),
    Command("run/best.npz --seed -1", "--seed must be at least 0, got -1"),
    Command("run/best.npz --threads 0", "--threads must be from 1 to"),
    Command("run/best.npz --prompt", "--prompt: expected one argument"),
    Command("exploding.npz", "the scores of the model are not finite", 1),
]

COMMANDS = {"numpylstm-train": TRAIN, "numpylstm-eval": EVAL, "numpylstm-sample": SAMPLE}

CALLS = [
    # models
    Call("nl.LanguageModel(0, 4)", "vocab_size must be at least 1, got 0"),
    Call("nl.LanguageModel(11, -4)", "hidden_size must be at least 1, got -4"),
    Call("nl.LanguageModel(11, 4.0)", "hidden_size must be a whole number, got 4.0", TypeError),
    Call("nl.LanguageModel(11, True)", "hidden_size must be a whole number", TypeError),
    Call("nl.LanguageModel(11, '4')", "hidden_size must be a whole number, got '4'", TypeError),
    Call("nl.LanguageModel(11, 4, 0)", "num_layers must be at least 1 and at most"),
    Call("nl.LanguageModel(11, 4, embedding_size=0)", "embedding_size must be at least 1, got 0"),
    Call("nl.LanguageModel(11, 4, cell='elman')", "cell must be 'rnn', 'lstm'"),
    Call("nl.LanguageModel(11, 4, cell='gru', forget_bias=2.0)",
         "forget_bias must be left out, got 2.0; it is a setting of 'lstm'"),
    Call("nl.GRU(4, 6, reset='never')", "reset must be 'after' or 'before', got 'never'"),
    Call("nl.LanguageModel(11, 4, cell='rnn', activation='swish')", "activation must be 'tanh'"),
    Call("nl.LanguageModel(11, 4, dropout=1.0)", "dropout must be at least 0 and below 1, got 1.0"),
    Call("nl.LanguageModel(11, 4, dropout=float('nan'))", "dropout must be at least 0 and below 1"),
    Call("nl.LanguageModel(11, 4, dtype='float16')", "dtype must be float32 or float64"),
    Call("nl.LanguageModel(11, 4, impl='gpu')", "impl must be 'fast' or 'reference', got 'gpu'"),
    Call("nl.LanguageModel(11, 4, init_scale=-1.0)", "init_scale must be at least 0 and at most"),
    Call("nl.LanguageModel(11, 4, init_scale=1e39)", "init_scale must be at least 0 and at most"),
    Call("nl.LanguageModel(11, 4, init_scale=float('nan'))", "init_scale must be at least 0"),
    Call("nl.LanguageModel(11, 4, tied=True, embedding_size=5)", "needs embedding_size = hidden"),
    Call("nl.SequenceClassifier(11, 0, 4)", "num_classes must be at least 1, got 0"),
    # ids
    Call("model.forward(x - 1, y, state)", "ids must lie in [0, 11), got -1 at [0, 0]"),
    Call("model.forward(x + 11, y, state)", "ids must lie in [0, 11), got 11 at [0, 0]"),
    Call("model.forward(x, y + 11, state)", "targets must lie in [0, 11)"),
    Call("model.forward(x.astype('uint64') + 2**63, y, state)", "ids must lie in [0, 11)"),
    Call("model.forward(x.astype(float), y, state)", "ids must hold integers", TypeError),
    Call("model.forward(x > 3, y, state)", "ids must hold integers, got bool", TypeError),
    Call("model.forward(x, y.astype(float), state)", "targets must hold integers", TypeError),
    Call("model.forward([[1, 2], [3]], y, state)", "x must be an array or a seq", TypeError),
    Call("model.forward(x[:0], y[:0], state)", "x must not be empty, got shape (0, 3)"),
    Call("model.forward(x[0], y[0], state)", "must have shape (T, B), got (3,)"),
    Call("model.forward(x[None], y[None], state)", "must have shape (T, B), got (1, 5, 3)"),
    Call("model.forward(x, y[:4], state)", "x and y must have one shape (T, B)"),
    Call("model.forward(x[:4], y, state)", "x and y must have one shape (T, B)"),
    Call("model.forward(x.T, y.T, state)", "(2, 3, 4); (L, B, H); B is fixed by x (T, B, D)"),
    Call("model.score(x + 11, y, state)", "ids must lie in [0, 11)"),
    Call("model.logits(x + 11, state)", "ids must lie in [0, 11)"),
    Call("classifier.forward(x, y[0] + 11)", "y must lie in [0, 2), got"),
    Call("classifier.forward(x, y[0, :2] * 0)", "y must have shape (3,), got (2,)"),
    Call("classifier.predict(x.astype(float))", "ids must hold integers, got float64", TypeError),
    Call("classifier.probabilities(x + 11)", "ids must lie in [0, 11), got"),
    Call("nl.evaluate_classifier(classifier, x, y[0] + 11)", "y must lie in [0, 2), got"),
    Call("nl.evaluate_classifier(classifier, x, y[0] * 0, 0)", "batch_size must be at least 1"),
    Call("nl.save_model(model.encoder, 'model.npz')", "must be a 'LanguageModel', 'Seq", TypeError),
    # states, weights and floats
    Call("model.forward(x, y, 0)", "state must be LSTMState(h, c), got int", TypeError),
    Call("model.forward(x, y, state.h)", "state must be LSTMState(h, c), got ndarray", TypeError),
    Call("model.forward(x, y, model.zero_state(2))", "state.h must have shape (2, 3, 4)"),
    Call("model.zero_state(0)", "batch_size must be at least 1, got 0"),
    Call("model.zero_state(2.0)", "batch_size must be a whole number, got 2.0", TypeError),
    Call("model.forward(x, y, double_state)", "state.h must have dtype float32", TypeError),
    Call("model.forward(x, y, nan_state)", "state.c must be finite, got nan at [1, 2, 3]"),
    Call("model.forward(x, y, state, weights=-ones)", "weights must be at least 0"),
    Call("model.forward(x, y, state, weights=nan * ones)", "weights must be at least 0, got nan"),
    Call("model.forward(x, y, state, weights=3e38 * ones)", "weights must be finite, and so must"),
    Call("model.forward(x, y, state, weights=ones[:4])", "weights must have shape (5, 3)"),
    Call("lstm.forward(nan * v, lstm_state)", "x must be finite, got nan at [0, 0, 0]"),
    Call("lstm.forward(inf * v, lstm_state)", "LSTM.forward: x must be finite, got inf"),
    Call("lstm.forward(v[:, :, :3], lstm_state)", "x must have shape (T, B, 6), got (5, 3, 3)"),
    Call("lstm.forward(v.astype(float), lstm_state)", "x must have dtype float32", TypeError),
    Call("lstm.forward(v.astype(int), lstm_state)", "x must have dtype float32", TypeError),
    Call("lstm.forward(v.tolist(), lstm_state)", "x must be a NumPy array, got list", TypeError),
    Call("rnn.forward(nan * v, rnn.zero_state(3))", "RNN.forward: x must be finite, got nan"),
    Call("rnn.forward(v, lstm_state)", "state must be RNNState(h), got LSTMState", TypeError),
    Call("nl.LSTM(0, 4)", "LSTM: input_size must be at least 1, got 0"),
    Call("nl.RNN(4, 2.5)", "RNN: hidden_size must be a whole number, got 2.5", TypeError),
    Call("nl.Embedding(-1, 4)", "Embedding: vocab_size must be at least 1, got -1"),
    Call("nl.Linear(4, 0)", "Linear: output_size must be at least 1, got 0"),
    Call("nl.Linear(4, 2).forward(v)", "x must have shape (T, B, 4), got (5, 3, 6)"),
    Call("nl.Embedding(11, 4).forward(x + 11)", "ids must lie in [0, 11)"),
    Call("model.zero_state(2**70)", "batch_size must be at most 500,000,000, got 1180"),
    Call("nl.Embedding(2**70, 4)", "Embedding: vocab_size must be at most 500,000,000"),
    Call("nl.LSTM(6, 4, dtype='x')", "LSTM: dtype must be float32 or float64", TypeError),
    Call("nl.LSTM(6, 4, 2, dropout=())", "layer: dropout must be a number, got ()", TypeError),
    Call("nl.LSTM(6, 4, dropout=7.0)", "layer: dropout must be in [0, 1), got 7.0"),
    Call("nl.LSTM(6, 4, dtype=None)", "LSTM: dtype must be float32 or float64, got No", TypeError),
    Call("nl.Linear(4, 11, tied=table)", "Linear: tied must be a Parameter, got ndarra", TypeError),
    Call("nl.set_num_threads(1.5)", "set_num_threads: number must be from 1 to"),
    Call("nl.RecurrentStack([], 6, 4)", "cell must be 'rnn', 'lstm'"),
    Call("lstm.forward(v, lstm_state, ones[:0])", "LSTM.forward: training must be", TypeError),
    Call("model.forward(x, y, state, ones[:0])", "training must be True or False", TypeError),
    # what a model keeps
    Call("nl.Embedding(11, 4).load(table * nan)", "vectors must be finite, got nan at [0, 0]"),
    Call("nl.Embedding(11, 4).load(table + 1e300)", "vectors must be finite, got inf at [0, 0]"),
    Call("nl.Embedding(11, 4).load(table[:5])", "vectors must have shape (11, 4), got (5, 4)"),
    Call("model.load_state_dict({})", "missing: decoder.W, decoder.b"),
    Call("model.load_state_dict({**arrays, 'x': table})", "unknown: x"),
    Call("model.load_state_dict({**arrays, 'x': table, 1: table})", "unknown: 1, x"),
    Call("model.load_state_dict({**arrays, 'decoder.b': ones})", "decoder.b must have shape (11"),
    Call("model.load_state_dict({**arrays, 'decoder.b': arrays['decoder.b'] * nan})",
         "decoder.b must be finite, got nan at [0]"),
    Call("model.load_state_dict({**arrays, 'decoder.b': arrays['decoder.b'].astype(float)})",
         "decoder.b must have dtype float32, got float64", TypeError),
    Call("model.load_state_dict({**arrays, 'decoder.b': [0.0] * 11})",
         "decoder.b must be a NumPy array, got list", TypeError),
    # the protocol
    Call("nl.LanguageModel(11, 4).backward()", "there is no pending forward pass", RuntimeError),
    Call("nl.LanguageModel(11, 4).training_scores()", "there is no pending", RuntimeError),
    Call("nl.LSTM(6, 4).backward(hs)", "LSTM.backward: there is no pending forward", RuntimeError),
    Call("lstm.forward(v), lstm.backward(hs.tolist())", "dhs must be a NumPy array", TypeError),
    Call("lstm.forward(v), lstm.backward(hs[0])", "dhs must have shape (5, 3, 4), got (3, 4)"),
    # optimiser and schedule
    Call("nl.SGD(model.parameters(), 0.0)", "lr must be positive and finite, got 0.0"),
    Call("nl.SGD(model.parameters(), float('nan'))", "lr must be positive and finite, got nan"),
    Call("nl.SGD(model.parameters(), 1.0, 1.0)", "momentum must be in [0, 1), got 1.0"),
    Call("nl.Adam(model.parameters(), 0.0)", "Adam: lr must be positive and finite, got 0.0"),
    Call("nl.Adam(model.parameters(), betas=0.9)", "Adam: betas must be two numbers", TypeError),
    Call("nl.Adam(model.parameters(), betas=(0.9,))", "betas must be two numbers", TypeError),
    Call("nl.Adam(model.parameters(), betas=(0.9,) * 3)", "betas must be two numbers", TypeError),
    Call("nl.Adam(model.parameters(), betas=(0.9, 1))", "Adam: betas must be in [0, 1), got 1"),
    Call("nl.Adam(model.parameters(), eps=0)", "Adam: eps must be positive and finite, got 0"),
    Call("nl.functional.sgd_update(table[:, 0], table[:, 1], 0.1)", "w must be writeable and"),
    Call("nl.functional.sgd_update(ones, ones + 1, -0.1)", "lr must be finite and at least 0, got"),
    Call("nl.functional.adam_update(ones, ones + 1, ones + 2, ones + 3, 1, 0.1, 0.9, 1.0, 1e-8)",
         "beta2 must be in [0, 1), got 1.0"),
    Call("nl.AdamW(model.parameters(), weight_decay=-1)", "AdamW: weight_decay must be finite and"),
    Call("nl.AdamW(model.parameters()).move('decoder.b', model.decoder.b)",
         "AdamW.move: call step(), which counts the steps", RuntimeError),
    Call("nl.clip_by_global_norm(model.parameters(), 0)", "max_norm must be positive, got 0"),
    Call("nl.clip_by_global_norm(model.parameters(), float('nan'))", "max_norm must be positive"),
    Call("nl.SGD(model.parameters(), 1.0, ones[:0])", "momentum must be a number", TypeError),
    Call("nl.plateau_rate(1.0, [3.0], decay=0.5, patience=0)", "patience must be at least 1, got"),
    Call("nl.plateau_rate(1.0, 3.0, decay=0.5)", "validation_losses must be a seq", TypeError),
    Call("nl.plateau_rate(1.0, [[3.0]], decay=0.5)", "must be a sequence, one loss", TypeError),
    Call("nl.decayed_rate(1.0, -1, decay=0.5, constant_epochs=0)", "epoch must be at least 0, got"),
    Call("nl.decayed_rate(1.0, 0, decay=0.5, constant_epochs=-1)", "constant_epochs must be at"),
    Call("nl.new_run(nl.TrainConfig(init_from='run'), corpus)", "init_from is for numpylstm-"),
    Call("nl.new_run(nl.TrainConfig(), ids)", "corpus must be a Corpus, got ndarray", TypeError),
    Call("next(nl.train(model, ids))", "train: run must be a Run, got LanguageModel", TypeError),
    # habits from other frameworks
    Call("classifier.forward(np.eye(11)[x], y3)", "the ids of one-hot vectors are x.argmax(axis"),
    Call("classifier.forward(x.T, y3)", "the x of batch-first data is x.swapaxes(0, 1)"),
    Call("classifier.forward(x, np.eye(2)[y3])", "the ids of one-hot answers are y.argmax(axis"),
    Call("classifier.forward(x, y3, lengths=x > 3)",
         "of a mask (T, B) are mask.sum(axis=0) if the padding is at the end", TypeError),
    Call("classifier.predict(x, [5, 3, 2])", "lengths must be a NumPy array, got", TypeError),
    Call("classifier.predict(x.T, y3)", "lengths must have shape (5,), got (3,); one for each "
         "sequence; time comes first"),
    Call("classifier.forward(x, y3, y3)", "Classifier.forward: training must be True or False, "
         "got array([0, 1, 1]); pass lengths or weights by name", TypeError),
    Call("classifier.forward(x, y3 + 1)", "y must lie in [0, 2), got 2 at [1]; ids and table"),
    Call("classifier.predict(x[:, 0])", "x must have shape (T, B), got (5,); time comes first"),
    Call("t.forward(x, -100 + 0 * y)", "y must lie in [0, 2), got -100 at [0, 0]; padding takes"),
    Call("t.forward(x, 1 + y % 2)", "come from different vocabularies, or ids count from 1"),
    Call("t.forward(x, y3)", "SequenceClassifier gives an answer for each sequence"),
    Call("t.forward(x.T, y % 2)", "the x of batch-first data is x.swapaxes(0, 1)"),
    Call("r.forward(v[..., 0], v[..., :2])", "one number at each step is x[..., None]"),
    Call("r.forward(v[:, 0], v[:, 0, :2])", "got (5, 6); a single sequence is x[:, None]"),
    Call("r.forward(v, v[:, :, 0])", "y must have shape (5, 3, 2), got (5, 3); an answer at each"),
    Call("r.forward(v, v[-1, :, :2])", "every_step=False gives an answer for each seq"),
    Call("r.forward(v, nan * v[..., :2])", "r.forward: y must be finite, got nan at [0, 0, 0]"),
    Call("r.forward(v.astype(float), v[..., :2])", "x must have dtype float32, got", TypeError),
    Call("nl.LanguageModel(11, 4, bidirectional=True)", "unexpected keyword argument 'bidi",
         TypeError),
    Call("nl.SequenceTagger(num_classes=2, hidden_size=4)", "vocab_size or input_size", TypeError),
    Call("nl.fit(t, zip([x], [y]))", "batches must be a list or a function", TypeError),
    Call("nl.fit(t, (x, y))", "batches must hold tuples (x, y, ...), got ndarray", TypeError),
    # evaluation and sampling
    Call("nl.evaluate(model, ids[:1])", "need at least 2 tokens, got 1"),
    Call("nl.evaluate(classifier, ids)", "model must be a LanguageModel, got Seq", TypeError),
    Call("nl.generate(classifier, [1], 5)", "model must be a LanguageModel, got Seq", TypeError),
    Call("nl.evaluate(model, ids[:0])", "evaluate: ids must not be empty, got shape (0,)"),
    Call("nl.evaluate(model, ids + 11)", "evaluate: ids must lie in [0, 11)"),
    Call("nl.evaluate(model, ids.astype(float))", "evaluate: ids must hold integers", TypeError),
    Call("nl.evaluate_classifier(model, ids[:, None], ids[:1])",
         "model must be a SequenceClassifier, got Lang", TypeError),
    Call("nl.Adam(model.parameters(), eps=1e-50)", "eps must not be 0 in float32 of embedding.W"),
    Call("nl.Embedding(11, 4).load(table, trainable=1)", "trainable must be True or", TypeError),
    Call("nl.evaluate(model, ids[:, None])", "ids must have shape (N,), got (60, 1)"),
    Call("nl.evaluate(model, ids, batch_size=0)", "batch_size must be at least 1, got 0"),
    Call("nl.evaluate(model, ids, num_steps=0)", "num_steps must be at least 1, got 0"),
    Call("nl.evaluate(model, ids, num_steps=2.5)", "num_steps must be a whole number", TypeError),
    Call("nl.tutorial_protocol(model, ids)", "ids must hold 30 windows of 20 x 35 tokens"),
    Call("nl.generate(model, [], 5)", "prompt must not be empty, got shape (0,)"),
    Call("nl.generate(model, 3, 5)", "prompt must have shape (N,), got (); one id or more"),
    Call("nl.generate(model, 'the cat', 5)", "prompt must hold integers, got <U7", TypeError),
    Call("nl.generate(model, [11], 5)", "prompt must lie in [0, 11), got 11 at [0]"),
    Call("nl.generate(model, [0.5], 5)", "prompt must hold integers, got float64", TypeError),
    Call("nl.generate(model, [1], -1)", "length must be from 0 to 1000000000, got -1"),
    Call("nl.generate(model, [1], 2.5)", "length must be a whole number, got 2.5", TypeError),
    Call("nl.generate(model, [1], 10**12)", "length must be from 0 to 1000000000, got"),
    Call("nl.generate(model, [1], 5, temperature=-1.0)", "temperature must be finite and at least"),
    Call("nl.generate(model, [1], 5, top_k=0)", "top_k must be at least 1, got 0"),
    Call("nl.generate(model, [1], 5, top_k=1.5)", "top_k must be a whole number", TypeError),
    Call("nl.generate(model, [1], 5, banned=range(11))", "banned must leave a token to draw"),
    Call("nl.generate(model, [1], 5, banned=[-1])", "banned must lie in [0, 11), got -1 at [0]"),
    Call("nl.tutorial_protocol(model, np.array(3))", "ids must have shape (N,), got ()"),
    Call("nl.evaluation.interpolated_bigram_perplexity(ids, ids, ids, 2**70)",
         "vocab_size must be at most 500,000,000"),
    # looking inside
    Call("nl.diagnostics.gate_saturation('x')", "gate must hold real numbers, got", TypeError),
    Call("nl.diagnostics.gate_saturation(v, low='x')", "low must be a number, got 'x'", TypeError),
    Call("nl.diagnostics.compare_cells(x, y, vocab_size=11, hidden_size='4')",
         "hidden_size must be a whole number, got '4'", TypeError),
    Call("nl.diagnostics.compare_cells(x, y, vocab_size=11, hidden_size=4, seed=-1)",
         "seed must be at least 0, got -1"),
    Call("nl.diagnostics.carousel_share(1.0, [0.0])", "wh_scales must have shape (N,), got ()"),
    Call("nl.diagnostics.carousel_share([1.0], ['x'])", "forget_biases must hold real", TypeError),
    Call("nl.diagnostics.probe(nl.tasks.DelayedCopy(3), stop_at='x')", "stop_at must be a number",
         TypeError),
    Call("nl.diagnostics.memory_horizon(cells=[{}])", "cells must be 'rnn'"),
    Call("nl.diagnostics.memory_horizon([2**70])", "distance must be at most 500,000,000, got"),
    Call("nl.diagnostics.memory_horizon(3)", "distances must have shape (N,), got ()"),
    Call("nl.model_check.check_model(model, x, y, 3)", "state must be LSTMState(h, c)", TypeError),
    Call("nl.model_check.check_model(model, x, y, rng=-1)", "rng must be a Generator"),
    Call("nl.model_check.check_precision(model, x, y, state._replace(c=None))",
         "state.c must be a NumPy array, got NoneType", TypeError),
    Call("nl.gradcheck.central_difference(sum, {}, '1e-5')", "step must be a number", TypeError),
    Call("nl.gradcheck.central_difference(sum, {}, 0.0)", "step must be positive and finite, got"),
    Call("nl.gradcheck.check(sum, {}, {}, method=[])", "method must be 'central' or 'complex'"),
    Call("nl.tasks.spell(nl.tasks.DelayedCopy(3), [])", "ids must not be empty, got shape (0,)"),
    Call("nl.tasks.entropy([3, 4])", "entropy: p must be probabilities that sum to 1"),
    Call("nl.gradcheck.check(lambda a: None, {'x': table}, {'x': table})",
         "f must return one number, got NoneType; is its return missing?", TypeError),
    Call("nl.doctor.examine(sum, {'x': table}, [1.0])", "arrays must be a dict of name", TypeError),
    Call("nl.diagnostics.gradient_flow(classifier, x, x)", "model must be a Language", TypeError),
    Call("nl.model_check.check_model(classifier, x, x)", "model must be a Language", TypeError),
    Call("nl.diagnostics.Horizon(()).horizon('gru')", "Horizon: cell must be one of"),
    Call("nl.tasks.spell(nl.tasks.DelayedCopy(3), 5)", "ids must have shape (T,), got ()"),
    Call("list(nl.data.batches(ids, 2, 3, keep_last=ones[:0]))", "keep_last must be", TypeError),
    Call("nl.data.batches(np.array(3), 2, 3)", "ids must have shape (N,), got ()"),
    Call("nl.data.num_batches(0, 2, 3)", "need at least 8 tokens, got 0"),
    Call("nl.data.num_batches(-1, 2, 3)", "num_tokens must be at least 0, got -1"),
    Call("nl.TrainConfig(options=[1])", "options must be a dict of name -> value, got [1]"),
    # settings and files
    Call("nl.TrainConfig(hidden_size='big')", "hidden_size must be a whole number, got 'big'"),
    Call("nl.TrainConfig(train=['a.txt', 3])", "train must be a string, got 3"),
    Call("nl.TrainConfig(hidden_size=True)", "hidden_size must be a whole number, got True"),
    Call("nl.TrainConfig(lr=10**400)", "lr must be above 0 and at most"),
    Call("nl.TrainConfig(tied=True, embedding_size=3)", "tied needs embedding_size = hidden_size"),
    Call("nl.from_preset('huge')", "preset must be one of demo"),
    Call("nl.from_preset(['demo'])", "preset must be one of demo"),
    Call("nl.set_num_threads(True)", "set_num_threads: number must be from 1 to"),
    Call("nl.from_preset('demo', colour='red')", "unexpected keyword argument 'colour'", TypeError),
    Call("nl.new_run(nl.TrainConfig(hidden_size=10**7), corpus)", "hidden_size 10000000 needs"),
    Call("nl.load(3)", "load: path must be the name of a file, a str or a Path, got 3", TypeError),
    Call("nl.save(run, '')", "save: path must be the name of a file, a str or a Path, got ''",
         TypeError),
    Call("nl.load('absent.npz')", "absent.npz", FileNotFoundError),
    Call("nl.save(model, 'model.npz')", "run must be a Run, got LanguageModel", TypeError),
    Call("nl.restore_run('last.npz')", "must be what load(path) returns, got str", TypeError),
    Call("nl.new_run(nl.TrainConfig(level='char'), corpus)", "level must be 'word', as in the"),
    Call("nl.new_run(corpus, nl.TrainConfig())", "config must be a TrainConfig, got", TypeError),
    Call("nl.data.load_text([])", "no file is named; does the pattern match any?"),
    Call("nl.data.load_text('text.txt', max_eval=0)", "max_eval must be at least 2, got 0"),
    Call("nl.data.load_text('text.txt', vocabulary=['a'])", "must be a Vocabulary, got", TypeError),
    Call("nl.data.detokenize([1, 2])", "tokens must be strings, got int", TypeError),
    Call("nl.save(run, 'absent/last.npz')", "absent/last.npz could not be written", OSError),
    Call("nl.data.load_text('empty.txt')", "empty.txt: the train split must hold at least 2"),
    Call("nl.data.load_text('text.txt', level='byte')", "level must be 'word' or 'char'"),
    Call("nl.Vocabulary(('a',))", "tokens must contain '<unk>'"),
    Call("nl.Vocabulary(('<unk>', 'a', 'a'))", "tokens must be distinct"),
]  # fmt: skip

WORKS = [
    "model.forward(x.astype('uint16'), y.astype('int32'), state)",
    "model.forward(x.astype('int8'), y.astype('uint64'), state)",
    "model.forward(read_only(x), read_only(y), read_only_state)",
    "model.forward(np.asfortranarray(x), y[::-1], state)",
    "model.forward(np.repeat(x, 2, axis=1)[:, ::2], y, state)",
    "model.forward(x[:1], y[:1], state)",
    "model.forward(x[:, :1], y[:, :1], model.zero_state(1))",
    "lstm.forward(read_only(v), lstm_state)",
    "lstm.forward(v[::-1], lstm_state)",
    "lstm.forward(np.asfortranarray(v), lstm_state)",
    "rnn.forward(v.transpose(1, 0, 2).copy().transpose(1, 0, 2), rnn.zero_state(3))",
    "model.load_state_dict({k: read_only(a) for k, a in arrays.items()})",
    "model.load_state_dict({k: np.asfortranarray(a) for k, a in arrays.items()})",
    "nl.Embedding(11, 4).load(table.tolist())",
    "nl.LanguageModel(11, 4, forget_bias=np.float32(1))",
    "nl.LanguageModel(np.int64(3000), np.int32(64))",
    "nl.Linear(np.int32(200), np.int64(400))",
    "nl.evaluate(model, ids, np.int8(2), np.int8(7))",
    "nl.data.detokenize(['a', '', 'b'])",
    "{nl.from_preset('small'): 1}",
    "nl.evaluate(model, ids.tolist())",
    "nl.evaluate(model, read_only(ids)[::-1].astype('uint16'))",
    "nl.generate(model, x[:, 0].astype('uint8'), 5, rng=0)",
    "nl.generate(model, [1], 0)",
    "nl.generate(model, [1], 5, temperature=1e-320, rng=0)",
    "nl.generate(nl.LanguageModel(11, 4, cell='rnn', rng=0), [1], 5, top_k=np.uint8(3))",
    "nl.generate(model, [1], np.uint8(255), rng=0)",
    "nl.generate(model, [1], 5, temperature=0)",
    "nl.generate(model, [1], 5, top_k=10**30, rng=0)",
    "nl.true_and_predicted(model, ids.tolist())",
]

WORKING_TEXTS = {
    "unicode.txt": "words of every script, a combining accent and an emoji",
    "bom.txt": "a UTF-8 byte order mark",
    "crlf.txt": "Windows line endings",
    "cr.txt": "classic Macintosh line endings",
    "long-line.txt": "a line of 200,000 words",
    "no-newline.txt": "no newline at the end",
}


# --- the page ----------------------------------------------------------------------------------


def table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return "\n".join([line(head), line("---" for _ in head), *map(line, rows)])


def code(text: str) -> str:
    short = text if len(text) <= 90 else f"{text[:87]}..."
    return f"`{short}`" if text else "no arguments"


def page() -> str:
    """Return the page of the documentation."""
    commands = [
        (code(f"{name} {case.line}".strip()), case.says, str(case.status))
        for name, cases in COMMANDS.items()
        for case in cases
    ]
    calls = [(code(case.expression), case.error.__name__, case.says) for case in CALLS]
    broken = [(case.what, case.says.replace("\n", " ").strip()) for case in BROKEN]
    return f"""# Bad inputs and their messages

<!-- Made by `python -m tests.support.bad_inputs`; the tests run every line. -->

A command that fails prints one line to the error stream, never a traceback, and exits with status 2
(a wrong flag or input) or 1 (a failed run). A function raises an error of one sentence. Every line
below is a test; the message is a part of the sentence.

Arrays that a model stores or passes on must be finite: parameters, tables of vectors, states, and
the inputs of a recurrent layer; so must the answers for a regressor. NaN and infinity in them are
refused, with their place. Inside a model nothing is checked: a bad number shows in the loss, and
training stops before the update. A run with parameters that are not finite is not saved over one
with finite parameters.

## Commands ({len(commands)})

The folder holds a text, a finished run `run`, and the files that the names describe.

{table(("Command", "Message", "Status"), commands)}

## Functions ({len(calls)})

`model` is `LanguageModel(11, 4, 2)`, `t` a tagger and `r` a regressor; `x` and `y` are ids (5, 3),
`y3` are answers (3,), `v` is an input (5, 3, 6), and `table` has shape (11, 4).

{table(("Call", "Error", "Message"), calls)}

## Checkpoint files ({len(broken)})

Each is a good checkpoint with one fault; where the fault lies deeper, its checksum is right. Every
one raises `CheckpointError` and ends a command with status 2, and the message names the file.

{table(("Fault", "Message"), broken)}

## Unusual inputs that work

Texts: {"; ".join(WORKING_TEXTS.values())}.

{table(("Call",), [(code(expression),) for expression in WORKS])}
"""


if __name__ == "__main__":
    print(page(), end="")
