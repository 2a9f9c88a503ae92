"""The golden tape: independent calculations agree on every number; answers are graded."""

import inspect
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from support.leaves import leaves
from support.node import NODE, needs_node
from support.pages import data_of
from support.processes import run_python

import numpylstm as nl
from numpylstm import exchange, gradcheck, network, reference, tape
from numpylstm.cells import CELLS
from numpylstm.config import ModelConfig
from numpylstm.tape.__main__ import main
from numpylstm.tape.formulas import made_of
from numpylstm.tape.working import compute

TAPES = {cell: tape.load(cell) for cell in ("lstm", "gru", "mingru", "minlstm", "slstm")}
GOLDEN = TAPES["lstm"]
T, D, H, V, L = 3, 3, 2, 4, 2
TEMPLATES = Path(__file__).parent.parent / "docs" / "laboratory" / "golden-tape.md"
EXACT = dict(rtol=0, atol=1e-12)

each_cell = pytest.mark.parametrize("cell", TAPES)


IDS, TARGETS = (np.array(GOLDEN["inputs"][name])[:, None] for name in ("ids", "targets"))  # (T, B)
PARAMETERS = {
    cell: {path: np.array(value) for path, value in golden["parameters"].items()}
    for cell, golden in TAPES.items()
}
STATES = {
    cell: CELLS[cell].State(
        *(np.array(golden["inputs"][f"{s}0"])[:, None] for s in CELLS[cell].states)
    )
    for cell, golden in TAPES.items()
}  # (L, B, H)
# --- the file ----------------------------------------------------------------------------------


@each_cell
def test_the_file_is_what_the_textbook_gives(cell):
    """To the last bit or two, where long floats are longer than doubles."""
    name = "golden_tape.json" if cell == "lstm" else f"golden_tape_{cell}.json"
    assert (files("numpylstm.tape") / name).read_text("utf-8") == tape.as_json(TAPES[cell])
    found, golden = dict(leaves(compute(cell))), dict(leaves(TAPES[cell]))
    assert list(found) == list(golden)
    np.testing.assert_allclose([*found.values()], [*golden.values()], rtol=0, atol=4e-15)


@each_cell
def test_every_number_can_be_told_from_a_wrong_one(cell):
    """Zeros are gradients of a word that is not read; all else is far above the tolerance."""
    for name, value in leaves(TAPES[cell]):
        if value == 0:
            assert name.startswith(("gradients.embedding.W[1]", "inputs.ids", "inputs.targets"))
        else:
            assert abs(value) > 500 * tape.TOLERANCE, name


# --- the witnesses -----------------------------------------------------------------------------


def model_of(cell, impl="reference"):
    """Return a model with the parameters of a tape."""
    model = nl.LanguageModel(V, H, L, embedding_size=D, cell=cell, dtype="float64", impl=impl)
    model.load_state_dict(PARAMETERS[cell])
    return model


def compare(gradients, cell, *, states=True):
    """Compare gradients with those of a tape, which has those of the initial states too."""
    golden = TAPES[cell]["gradients"]
    assert gradients.keys() == (golden if states else PARAMETERS[cell]).keys()
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, golden[path], **EXACT, err_msg=path)


@each_cell
@pytest.mark.parametrize("impl", ["fast", "reference"])
def test_the_model_agrees(impl, cell):
    model = model_of(cell, impl)
    loss, _ = model.forward(IDS, TARGETS, STATES[cell])
    model.backward()
    assert loss == pytest.approx(TAPES[cell]["loss"], rel=0, abs=1e-12)
    compare({path: p.grad for path, p in model.parameters().items()}, cell, states=False)


@each_cell
def test_the_complex_step_agrees_on_every_gradient(cell):
    """Also on those of the initial states."""
    config = ModelConfig(cell=cell, hidden_size=H, num_layers=L, embedding_size=D)
    initial = {f"{s}0": part[:, 0] for s, part in STATES[cell]._asdict().items()}

    def loss(a):
        state = CELLS[cell].State(*(a[name][:, None] for name in initial))
        return network.loss_forward(reference, config, a, IDS, TARGETS, state, {})[0]

    compare(gradcheck.complex_step(loss, PARAMETERS[cell] | initial), cell)


@pytest.mark.parametrize(("cell", "once"), [("lstm", 4 * H), ("gru", 2 * H)])
def test_pytorch_agrees(cell, once):
    """The loss and every gradient; of the second biases only bn of a GRU is one of ours."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra: torch)")
    module = exchange.torch_module(model_of(cell))
    state = [torch.tensor(part, requires_grad=True) for part in STATES[cell]]
    logits, _ = module(torch.from_numpy(IDS), tuple(state) if state[1:] else state[0])
    targets = torch.from_numpy(TARGETS).reshape(-1)
    loss = torch.nn.functional.cross_entropy(logits.reshape(-1, V), targets, reduction="sum")
    loss.backward()
    assert loss.item() == pytest.approx(TAPES[cell]["loss"], rel=0, abs=1e-12)
    gradients = {name: p.grad for name, p in module.named_parameters()}
    for name in gradients:
        if "bias_hh" in name:
            gradients[name][:once] = 0
    initial = {f"{s}0": a.grad[:, 0] for s, a in zip(CELLS[cell].states, state, strict=True)}
    compare(exchange.from_torch(gradients) | initial, cell)


# --- grading -----------------------------------------------------------------------------------


def changed(name, value, tree, at=""):
    """Return the tape as an answer, with one number changed."""
    if isinstance(tree, dict):
        return {k: changed(name, value, v, f"{at}.{k}" if at else k) for k, v in tree.items()}
    if isinstance(tree, list):
        return [changed(name, value, v, f"{at}[{k}]") for k, v in enumerate(tree)]
    return value if at == name else tree


@pytest.mark.parametrize("name", [name for name, _ in leaves(GOLDEN)][::7])
def test_one_wrong_number_is_named_whichever_it_is(name):
    golden = dict(leaves(GOLDEN))
    grade = tape.grade(changed(name, golden[name] + 2e-6, GOLDEN))
    assert [wrong.name for wrong in grade.wrong] == [name]
    assert grade.right == len(golden) - 1
    assert grade.wrong[0].made_of
    assert tape.grade(changed(name, golden[name] + 5e-7, GOLDEN)).wrong == ()


def test_the_first_wrong_number_is_the_first_in_the_order_of_computation():
    """Forwards in time, then backwards, in any order of the file."""
    answer = {
        "gradients": {"c0": [[9, 9], [9, 9]]},
        "backward": {t: {"dlogits": [9] * V} for t in ("t0", "t1", "t2")},
        "forward": {t: {"nll": 9} for t in ("t2", "t1")},
    }
    names = [wrong.name for wrong in tape.grade(answer).wrong]
    assert names[:3] == ["forward.t1.nll", "forward.t2.nll", "backward.t2.dlogits[0]"]
    assert names[-1].startswith("gradients.c0")


def test_what_is_not_given_is_listed():
    grade = tape.grade({"forward": GOLDEN["forward"], "loss": GOLDEN["loss"]})
    assert grade.not_given == ("inputs", "parameters", "backward", "gradients")
    step = {k: v for k, v in GOLDEN["forward"]["t0"].items() if k != "lstm.1"}
    assert "forward.t0.lstm.1" in tape.grade({"forward": {"t0": step}}).not_given


def test_every_number_has_its_line_of_the_textbook():
    for cell in TAPES:
        for way in ("forward", "backward"):
            source = inspect.getsource(getattr(reference, f"{cell}_step_{way}"))
            for name in TAPES[cell][way]["t0"][f"{cell}.0"].keys() - {"dh"}:
                line = made_of(f"{way}.t0.{cell}.0.{name}", cell).partition("its line: ")[2]
                target, _, value = line.partition(";")[0].partition(", where ")[0].partition(" = ")
                assert name in target.split(", ")
                assert f"{target} = {value}" in source
        assert all(made_of(name, cell) for name, _ in leaves(TAPES[cell]))
    for name, note in (
        ("forward.t2.lstm.1.a_o[1]", "axis=1), where a = x @ Wx + h_prev @ Wh + b; h_prev is h of"),
        ("backward.t0.lstm.1.dc[0]", "; dc on the right is dc_prev of step t+1, or 0"),
        ("gradients.lstm.1.Wh[0][3]", "the sum over the steps of dWh: dWh = h_prev.T @ da"),
        ("gradients.h0[0][0]", "it is dh_prev of each layer at t0"),
        ("parameters.lstm.0.b[0]", "show --inputs"),
    ):
        assert note in made_of(name)


def test_numbers_rounded_to_six_decimals_pass():
    rounded = json.loads(json.dumps(GOLDEN), parse_float=lambda text: round(float(text), 6))
    assert tape.grade(rounded).wrong == ()


def test_a_cell_that_is_on_no_tape():
    for function in (compute, tape.load):
        with pytest.raises(tape.TapeError, match=r"cell must be 'lstm' or 'gru' or .*, got 'rnn'"):
            function("rnn")


# --- the command -------------------------------------------------------------------------------


@pytest.fixture
def check(tmp_path, capsys):
    """Return a function that grades a file; it returns exit status, stdout and stderr."""

    def run(content, *more):
        path = tmp_path / "mine.json"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        status = main(["check", str(path), *more])
        return status, *capsys.readouterr()

    return run


def test_the_status_says_if_a_number_is_wrong(check):
    status, out, err = check(json.dumps({"loss": GOLDEN["loss"]}))
    assert (status, err) == (0, "")
    assert out.startswith("Right, within 1e-06: 1 of 1.\nNot given: inputs, ")
    status, out, err = check('{"forward": {"t0": {"lstm.0": {"g": [0.06, 0.57]}}}}')
    assert (status, err) == (1, "")
    assert "forward.t0.lstm.0.g[0]: expected 0.0599281035291435, got 0.06\n" in out
    assert "\n  its line: g = np.tanh(a_g)\n" in out


def test_a_gru_is_graded(check):
    assert check(tape.as_json(TAPES["gru"]), "--cell", "gru")[0] == 0
    name = "backward.t1.gru.1.dh_prev[0]"
    answer = json.dumps(changed(name, 9, TAPES["gru"]))
    status, out, _ = check(answer, "--cell", "gru")
    assert status == 1
    assert "its line: dh_prev = dh * z + dh_prev_n + da_r @ Wh_r.T" in out
    assert check(answer)[0] == 2  # not the tape of an LSTM


def test_the_tolerance_is_an_option(check):
    rough = json.dumps({"loss": round(GOLDEN["loss"], 2)})
    assert check(rough)[0] == 1
    assert check(rough, "--tolerance", "0.01")[0] == 0
    for tolerance in ("0", "nan", "inf"):
        status, _, err = check(rough, "--tolerance", tolerance)
        assert status == 2
        assert "the tolerance must be above 0" in err


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "must be JSON"),
        ("[" * 100_000, "must be JSON"),
        (b"\xff\xfe\x00", "UTF-8 file; 'utf-8' codec can't decode byte 0xff"),
        ("[]", "the file must be an object of inputs, parameters, forward, loss"),
        ("{}", "no number of the tape is given; its parts are inputs"),
        ('{"forwards": {}}', "forwards is not on the tape; the file has inputs, parameters"),
        ('{"forward": {"t0": {"lstm.0": {"s": [1, 2]}}}}', "forward.t0.lstm.0.s is not on"),
        ('{"forward": {"t0": [1]}}', "forward.t0 must be an object of x, lstm.0"),
        ('{"forward": {"t0": {"x": [1, 2]}}}', "forward.t0.x must be a list of 3 numbers, got 2"),
        ('{"loss": "4.1"}', "loss must be a finite number, got '4.1'"),
        ('{"loss": true}', "loss must be a finite number, got True"),
        ('{"loss": NaN}', "loss must be a finite number, got nan"),
        (f'{{"loss": 1{"0" * 400}}}', "loss must be a finite number, got 1000"),
        ('{"\\u001b[2J": 1}', "\\x1b[2J is not on the tape"),
        ('{"loss": 4, "loss": 5}', "'loss' appears twice in one object"),
    ],
)  # fmt: skip
def test_status_2_and_one_sentence_for_a_file_that_cannot_be_graded(check, content, says):
    status, out, err = check(content)
    assert (status, out) == (2, "")
    assert err.startswith("python -m numpylstm.tape: error: ")
    assert says in err
    assert err.count("\n") == 1


def test_files_that_are_not_there(tmp_path, capsys):
    for path in (tmp_path / "absent.json", tmp_path):
        assert main(["check", str(path)]) == 2
        assert "must be JSON in a readable" in capsys.readouterr().err


def test_play(tmp_path, capsys):
    """The page holds your numbers; a file that cannot be graded, or written, gets one sentence."""
    mine, page = tmp_path / "mine.json", tmp_path / "page.html"
    numbers = {"forward": {"t0": {"gru.0": {"z": [0.5, 0.5]}}}}
    mine.write_text(json.dumps(numbers))
    assert main(["play", "--cell", "gru", str(mine), str(page)]) == 0
    assert capsys.readouterr().out.startswith(f"{page}: ")
    assert data_of(page.read_text("utf-8"))["mine"] == {"cell": "gru", "numbers": numbers}
    assert main(["play", str(mine), str(page)]) == 2
    assert "gru.0 is not on the tape" in capsys.readouterr().err
    assert main(["play", str(tmp_path)]) == 2
    assert "Is a directory" in capsys.readouterr().err


def test_show(capsys):
    assert main(["show"]) == 0
    assert json.loads(capsys.readouterr().out) == GOLDEN
    assert main(["show", "--inputs"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown == {part: GOLDEN[part] for part in ("inputs", "parameters")}
    assert main(["write"]) == 0
    assert json.loads(capsys.readouterr().out).keys() == GOLDEN.keys()


def test_it_runs_as_a_module_without_numpy(tmp_path):
    (tmp_path / "mine.json").write_text(json.dumps({"loss": 4}))
    code = (
        "import runpy, sys; sys.modules['numpy'] = None; sys.argv[0] = 'tape'; "
        "runpy.run_module('numpylstm.tape', run_name='__main__')"
    )
    arguments = ("check", "mine.json")
    out, err = run_python(code, *arguments, cwd=tmp_path, expect=1, PYTHONWARNINGS="error")
    assert "loss: expected 4.4" in out
    assert err == ""


@pytest.mark.parametrize(
    ("language", "program", "end"),
    [("python", sys.executable, ""), pytest.param("js", NODE, ";", marks=needs_node)],
)
def test_templates_of_the_page_for_writing_an_answer(language, program, end, tmp_path):
    text = TEMPLATES.read_text(encoding="utf-8")
    (code,) = re.findall(rf"^```{language}\n((?:import|const).*?)^```", text, re.M | re.S)
    code += f"""
note([0.440286, 0.452642], "forward", "t0", "lstm.0", "i"){end}
note(0.5, "forward", "t1", "nll"){end}
save("mine.json"){end}
"""
    (tmp_path / f"mine.{language}").write_text(code, encoding="utf-8")
    subprocess.run([program, f"mine.{language}"], cwd=tmp_path, check=True, timeout=60)
    found = tape.grade(tape.read(tmp_path / "mine.json"))
    assert found.right == 2
    assert [wrong.name for wrong in found.wrong] == ["forward.t1.nll"]
