"""The names that ``import numpylstm as nl`` offers."""

from numpylstm import baselines, data, exchange, functional, museum, reference, sampling, tape
from numpylstm.adaptation import (
    choose_temperature,
    evaluate_at_temperature,
    evaluate_dynamic,
    evaluate_dynamic_with_cache,
    evaluate_with_cache,
    gradient_rms,
)
from numpylstm.bidirectional import Bidirectional
from numpylstm.cells import LSTMState, RNNState, SLSTMState
from numpylstm.config import PRESETS, ConfigError, ModelConfig, TrainConfig, from_preset
from numpylstm.data import Corpus, DataError, Vocabulary
from numpylstm.errors import NumpylstmError
from numpylstm.evaluation import (
    ClassifierEvaluation,
    Evaluation,
    TutorialResult,
    evaluate,
    evaluate_classifier,
    evaluate_regressor,
    surprise,
    true_and_predicted,
    tutorial_protocol,
)
from numpylstm.kernels.memory import release_memory
from numpylstm.kernels.threads import get_num_threads, set_num_threads
from numpylstm.laboratory import diagnostics, doctor, gradcheck, tasks
from numpylstm.laboratory.workbook import grading
from numpylstm.layers import (
    GRU,
    LSTM,
    RNN,
    Dropout,
    Embedding,
    Linear,
    RecurrentStack,
    SequenceCrossEntropy,
    SquaredError,
)
from numpylstm.models import LanguageModel
from numpylstm.optim import SGD, Adam, AdamW, clip_by_global_norm, decayed_rate, plateau_rate
from numpylstm.parameters import Module, Parameter
from numpylstm.sampling import generate
from numpylstm.saving import load_model, save_model
from numpylstm.sequence_models import SequenceClassifier, SequenceRegressor, SequenceTagger
from numpylstm.training import schedules
from numpylstm.training.checkpoint import load, restore_model, restore_run, save
from numpylstm.training.fit import FitEpoch, fit
from numpylstm.training.loop import Run, new_run, train
from numpylstm.training.metrics import Row, Step

__all__ = [
    "GRU",
    "LSTM",
    "PRESETS",
    "RNN",
    "SGD",
    "Adam",
    "AdamW",
    "Bidirectional",
    "ClassifierEvaluation",
    "ConfigError",
    "Corpus",
    "DataError",
    "Dropout",
    "Embedding",
    "Evaluation",
    "FitEpoch",
    "LSTMState",
    "LanguageModel",
    "Linear",
    "ModelConfig",
    "Module",
    "NumpylstmError",
    "Parameter",
    "RNNState",
    "RecurrentStack",
    "Row",
    "Run",
    "SLSTMState",
    "SequenceClassifier",
    "SequenceCrossEntropy",
    "SequenceRegressor",
    "SequenceTagger",
    "SquaredError",
    "Step",
    "TrainConfig",
    "TutorialResult",
    "Vocabulary",
    "baselines",
    "choose_temperature",
    "clip_by_global_norm",
    "data",
    "decayed_rate",
    "diagnostics",
    "doctor",
    "evaluate",
    "evaluate_at_temperature",
    "evaluate_classifier",
    "evaluate_dynamic",
    "evaluate_dynamic_with_cache",
    "evaluate_regressor",
    "evaluate_with_cache",
    "exchange",
    "fit",
    "from_preset",
    "functional",
    "generate",
    "get_num_threads",
    "gradcheck",
    "gradient_rms",
    "grading",
    "load",
    "load_model",
    "museum",
    "new_run",
    "plateau_rate",
    "reference",
    "release_memory",
    "restore_model",
    "restore_run",
    "sampling",
    "save",
    "save_model",
    "schedules",
    "set_num_threads",
    "surprise",
    "tape",
    "tasks",
    "train",
    "true_and_predicted",
    "tutorial_protocol",
]
