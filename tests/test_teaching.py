"""The programs and pages of a teacher, in docs/teaching: slides, exams, quizzes, homework."""

import ast
import hmac
import re
import string
import subprocess
import sys
import unicodedata
from functools import partial
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from conftest import H, T, V
from fontTools.ttLib import TTFont
from support.notebook_cells import read, source
from support.one_file import ONE_FILE, PATHS
from support.workbook import functions, graded

import numpylstm as nl
from numpylstm import grading

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
FONT = DOCS / "_static" / "stix-two-math.woff"
sys.path += [str(DOCS / "teaching"), str(DOCS / "_ext")]

import class_summary  # noqa: E402
import exam  # noqa: E402
import homework  # noqa: E402
import hunt  # noqa: E402
from drawn import Choice  # noqa: E402
from questions import (  # noqa: E402
    CELLS,
    TOPICS,
    check_lines,
    perplexity,
    question_of_a_cell,
)

# --- formulas ----------------------------------------------------------------------------------


def formulas():
    """Return the formulas of the pages, the slides and the notebooks, as LaTeX."""
    paths = [path for path in DOCS.glob("**/*.md") if "_build" not in path.parts]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    for path in ROOT.glob("notebooks/*.ipynb"):
        texts += [source(cell) for cell in read(path)["cells"] if cell["cell_type"] == "markdown"]
    texts = [re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S) for text in texts]
    found = [found for text in texts for found in re.findall(r"\$\$.+?\$\$|\$[^$]+\$", text, re.S)]
    return {formula.strip("$") for formula in found}


def test_the_font_has_every_sign_of_a_formula_and_the_measures_that_formulas_need():
    """Without a MATH table, indices stand on the line: "Dt = ft"."""
    convert = pytest.importorskip("latex2mathml.converter").convert
    font = TTFont(FONT)
    assert font["MATH"].table.MathConstants.SubscriptShiftDown.Value > 0
    there = {chr(code) for code in font.getBestCmap()}
    assert there >= set("𝐴𝐵𝐶𝐷𝑊𝑎𝑏𝑐𝑥𝑧𝛼𝛽𝜎𝜑ℎ")  # browsers show single letters in these
    assert len(formulas()) > 200
    for formula in formulas():
        signs = re.sub(r"<[^>]*>", "", convert(formula.replace("{aligned}", "{align*}")))
        missing = {*unescape(signs)} - there - {*string.whitespace}
        assert not missing, (formula, [unicodedata.name(c) for c in missing])


# --- exams -------------------------------------------------------------------------------------


SECRETS = [f"{k:064x}" for k in range(20)]
STUDENTS = ("Ada", "Bob", "Zoë O'Hara")


def made(folder, *arguments):
    """Run exam.py in a process of its own, and return the text of each file it wrote."""
    command = [
        sys.executable,
        str(DOCS / "teaching" / "exam.py"),
        str(folder),
        *STUDENTS,
        *arguments,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    return {place: path.read_bytes() for place, path in files.items()}, done.stdout


def test_one_secret_makes_one_exam_and_one_key_to_the_byte(tmp_path):
    """In new processes, since the hashes of Python differ from one to the next."""
    sheets = pytest.importorskip("sheets", reason="Markdown and formulas (extra: docs)")
    exams, printed = made(tmp_path / "first")
    secret = printed.split()[-1]
    assert len(secret) == 64
    assert exams.keys() == {f"{n}/{file}" for n in STUDENTS for file in ("exam.html", "hunt.py")}
    assert made(tmp_path / "second", "--secret", secret)[0] == exams

    key, _ = made(tmp_path / "key", "--secret", secret, "--key")
    for folder, known in (("again", secret), ("other", secret[::-1])):
        exam.main([str(tmp_path / folder), *STUDENTS, "--secret", known, "--key"])
        page = (tmp_path / folder / "exam-key.html").read_bytes()
        assert ([page] == [*key.values()]) == (known == secret)

    for content in [*exams.values(), *key.values()]:
        text = content.decode().replace(sheets.FONT, "")
        assert not any(secret[k : k + 6] in text for k in range(len(secret) - 5))


def exam_of(secret, student):
    asked = exam.questions(secret, student, None)
    return exam.exam("Exam", student, asked, exam.hunt_of(secret, student))


@pytest.mark.rare
def test_another_secret_or_name_changes_every_part():
    """Of 20 secrets and of 20 names, few draw the same question, and none the same exam."""
    for places in ([(s, "Ada") for s in SECRETS], [(SECRETS[0], f"Ada {k}") for k in range(20)]):
        drawn = [exam.questions(*place, None) for place in places]
        assert len({tuple(asked) for asked in drawn}) == 20
        kinds = [tuple(question.points for question in asked) for asked in drawn]
        assert len({*kinds}) > 15, "the order"
        for number in range(7):
            assert len({asked[number].answer for asked in drawn}) > 12
        assert len({exam.hunt_of(*place).program for place in places[:5]}) == 5


def test_answers_do_not_follow_from_those_of_a_neighbour():
    """A question and its numbers are drawn by the HMAC of secret, purpose and name."""
    one, two = (Choice(SECRETS[1], "exam", student) for student in ("Ada", "Bob"))
    assert one.key == hmac.digest(SECRETS[1].encode(), b"exam\nAda", "sha256") != two.key


@pytest.mark.parametrize("secret", SECRETS[:5])
def test_points(secret):
    asked = exam.questions(secret, "Ada", None)
    assert sum(question.points for question in asked) + 3 * exam.POINTS_OF_A_MISTAKE == 45
    text = exam_of(secret, "Ada")
    assert re.findall(r"## (\d)\. \((\d+) points\)", text) == [
        *((str(n), str(question.points)) for n, question in enumerate(asked, 1)),
        ("8", "12"),
    ]
    assert "90 minutes, 45 points" in text


def test_all_questions_of_a_topic_have_the_same_points():
    for kinds in TOPICS:
        assert len({kind(Choice(SECRETS[0])).points for kind in kinds}) == 1


def test_the_perplexity_has_many_answers():
    answers = {perplexity(Choice(secret)).answer.partition(":")[0] for secret in SECRETS}
    assert len(answers) > 15


@pytest.mark.parametrize("cell", CELLS, ids="-".join)
def test_the_lines_of_a_cell_are_right_and_shapes_are_named_where_they_matter(cell):
    question = question_of_a_cell(*cell)  # measures the lines
    for name, shape in (("p", "p is (H,)"), ("W", "W is (H, H)")):
        assert (shape in question.text) == (f"`d{name}`" in question.text)
    assert 4 <= len(re.findall(r"`d(?!out)\w+`", question.text)) <= 5


def test_a_wrong_line_of_a_cell_is_not_printed():
    with pytest.raises(RuntimeError, match="the key of da is wrong"):
        check_lines("out = a * c_prev", "da = dout\ndc_prev = dout * a", ["a", "c_prev"])


# --- the programs of the hunt ------------------------------------------------------------------


def gradients_of(program, names):
    """Return the loss and the gradients of a program by the names of one_file.py."""
    space = {"__name__": "hunt"}
    exec(program, space)
    rng = np.random.default_rng(5)
    keys = {key: names[f"'{key}'"] for key in hunt.KEYS.split()}
    shapes = {"E": (V, H), "Wx": (H, 4 * H), "Wh": (H, 4 * H), "b": 4 * H, "Wy": (H, V), "by": V}
    p = {key: rng.standard_normal(shape) for key, shape in shapes.items()}
    x, y = rng.integers(0, V, (2, T, 2 * V))
    h, c = rng.standard_normal((2, 2 * V, H))
    own = {keys[key]: array for key, array in p.items()}
    loss, *_, record = space[names["forward"]](own, x, y, h, c)
    d = space[names["backward"]](own, x, y, record)
    return (loss, {key: d[keys[key]] for key in p}), (p, x, y, h, c)


def of_the_textbook(gates, p, x, y, h, c):
    """Return the loss and the gradients of the library, with the gates in another order."""
    columns = np.concatenate([gates.index(gate) * H + np.arange(H) for gate in "ifgo"])
    model = nl.LanguageModel(V, H, dtype="float64", impl="reference", rng=0)
    arrays = {k: a[..., columns] if k in ("Wx", "Wh", "b") else a for k, a in p.items()}
    model.load_state_dict({path: arrays[key] for path, key in PATHS.items()})
    loss, _ = model.forward(x, y, nl.LSTMState(h[None], c[None]))
    model.backward()
    back = np.argsort(columns)
    d = {key: model.parameters()[path].grad for path, key in PATHS.items()}
    return loss, {k: a[..., back] if k in ("Wx", "Wh", "b") else a for k, a in d.items()}


def wrong_arrays(found, expected):
    return {
        key
        for key, array in expected.items()
        if np.abs(found[key] - array).max() > 1e-4 * np.abs(array).max()
    }


@pytest.mark.rare
@pytest.mark.parametrize(
    "secret",
    [*SECRETS, *(pytest.param(f"{k:064x}", marks=pytest.mark.slow) for k in range(20, 300))],
)
def test_a_hunt(secret):
    """Without its mistakes a program is the textbook; each mistake changes a gradient."""
    hunted = exam.hunt_of(secret, "Ada")
    (loss, right), given = gradients_of(hunted.right, hunted.names)
    expected_loss, expected = of_the_textbook(hunted.gates, *given)
    assert loss == pytest.approx(expected_loss, rel=1e-12)
    for key, array in expected.items():
        np.testing.assert_allclose(right[key], array, rtol=1e-10, atol=1e-10 * abs(array).max())

    lines = hunted.program.splitlines()
    (same_loss, wrong), _ = gradients_of(hunted.program, hunted.names)
    assert same_loss == loss
    assert wrong_arrays(wrong, expected)
    assert len({found.line for found in hunted.mistakes}) == hunt.HOW_MANY
    for found in hunted.mistakes:
        assert lines[found.line - 1].strip() == found.wrong
        alone = hunted.right.splitlines()
        alone[found.line - 1] = alone[found.line - 1].replace(found.right, found.wrong)
        (_, single), _ = gradients_of("\n".join(alone), hunted.names)
        assert wrong_arrays(single, expected), found
        lines[found.line - 1] = lines[found.line - 1].replace(found.wrong, found.right)
    assert "\n".join(lines) + "\n" == hunted.right

    # A comparison with one_file.py shows every line of the backward pass.
    known = {
        line.strip()
        for line in ast.unparse(ast.parse(ONE_FILE.read_text(encoding="utf-8"))).splitlines()
    }
    functions = {f.name: f for f in ast.parse(hunted.program).body if hasattr(f, "name")}
    own = ast.unparse(functions[hunted.names["backward"]]).splitlines()
    assert len(own) > 25
    assert not {line.strip() for line in own} & known - {"for t in reversed(range(len(x))):"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--secret", "7"], "a secret must have at least 32 characters, got 1; leave it out"),
        (["--key"], "--key needs the --secret that was printed with the exam"),
        (["Ada"], "two students have one name"),
        (["../Ada"], "a name has letters, digits, spaces and . - _ ' only, got '../Ada'"),
        ([".."], "a name has letters"),
        (["--quiz", "4"], "invalid choice: 4"),
    ],
)
def test_a_bad_call_gets_one_sentence(arguments, says, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        exam.main([str(tmp_path), "Ada", *arguments])
    assert stopped.value.code == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not [*tmp_path.iterdir()]


def test_a_key_is_not_written_beside_the_exams(tmp_path, capsys):
    (tmp_path / "Ada").mkdir()
    (tmp_path / "Ada" / "exam.html").write_text("")
    with pytest.raises(SystemExit):
        exam.main([str(tmp_path), "Ada", "--secret", SECRETS[0], "--key"])
    assert "has sheets to hand out" in capsys.readouterr().err


# --- quizzes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("week", [1, 2, 3])
def test_a_quiz_of_ten_minutes(week):
    asked = exam.questions(SECRETS[0], "Ada", week)
    assert sum(question.points for question in asked) == 5
    sheet, key = (write("Ada", asked, None) for write in (partial(exam.exam, "Quiz"), exam.key))
    assert "10 minutes, 5 points" in sheet
    assert all(question.text in sheet and question.answer in key for question in asked)
    assert not any(question.answer in sheet for question in asked)
    others = {tuple(exam.questions(secret, "Ada", week)) for secret in SECRETS}
    assert len(others) > 15


# --- slides ------------------------------------------------------------------------------------


DECKS = sorted((DOCS / "teaching" / "slides").glob("*.md"))


@pytest.mark.parametrize("deck", DECKS, ids=lambda path: path.stem)
def test_a_deck_has_an_activity_for_each_lecture_and_says_how_long_it_takes(deck):
    slides = deck.read_text(encoding="utf-8").split("\n---\n")
    lectures = [slide for slide in slides if slide.startswith("# ")]
    activities = [slide for slide in slides if slide.startswith("## Activity: ")]
    assert len(activities) == len(lectures) == 2
    assert all(re.search(r"^\d+ minutes", slide, re.M) for slide in activities)


def test_signs_of_a_formula_that_the_converter_takes_apart():
    as_mathml = pytest.importorskip("mathml").as_mathml
    assert "<mo>&#x0002B;&#x0003D;</mo>" in as_mathml(r"a \mathrel{+}= b", "inline")
    norm = as_mathml(r"\lVert v \rVert^2", "inline")
    assert norm.count('<mo stretchy="false">&#x02016;</mo>') == norm.count("&#x02016;") == 2


# --- a class on one page -----------------------------------------------------------------------


def test_a_class_on_one_page(tmp_path, capsys):
    pytest.importorskip("latex2mathml")
    slope = ("sigmoid_slope", "s * (1 - s)", "1 - s")
    clip = ("clip", "max_norm / norm)", "norm / max_norm)")
    class_ = {"Ada": (), "Bob": slope, "Cyd": slope, "<i>Dan</i>": clip}
    for number, (student, pieces) in enumerate(class_.items()):
        answers = [functions(*pieces)[name] for name in ("sigmoid", "sigmoid_slope", "clip")]
        text = grading.submission(answers, student)
        (tmp_path / f"{number}.json").write_text(text, encoding="utf-8")
    (tmp_path / "empty.json").write_text("{", encoding="utf-8")
    class_summary.main([str(tmp_path), str(tmp_path / "page.html")])
    printed = capsys.readouterr().out.splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in printed}
    assert rows["sigmoid"] == ["4", "0", "0", "0"]
    assert " ".join(rows["sigmoid_slope"]) == "2 2 0 0 2 x ds: the factor s is missing."
    assert rows["clip"][:6] == ["3", "1", "0", "0", "1", "x"]
    assert rows["sgd"] == ["0", "0", "4", "0"]
    assert "empty.json" in printed[-1]
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "4 students, 2.2 of 30 points on average." in page
    assert "<b>2</b> ds: the factor s is missing. <small>Bob, Cyd</small>" in page
    assert 'aria-label="2 right, 2 wrong, 0 not answered yet, 0 unproved"' in page
    assert "&lt;i&gt;Dan&lt;/i&gt;" in page
    assert "<i>Dan" not in page


def test_a_class_without_submissions(tmp_path):
    with pytest.raises(SystemExit, match=r"must be a folder with \.json submissions"):
        class_summary.main([str(tmp_path), str(tmp_path / "page.html")])


# --- pages -------------------------------------------------------------------------------------


ROW = re.compile(r"^\| `(\w+)` \| `(.+?)` \| `(.+?)` \| (.+?) \| .+ \|$", re.M)
ADVICE = ROW.findall((DOCS / "laboratory" / "assistants.md").read_text(encoding="utf-8"))


def test_the_page_for_assistants_has_twenty_mistakes():
    assert len(ADVICE) == 20


@pytest.mark.rare
@pytest.mark.parametrize(("blank", "wrong", "right", "says"), ADVICE)
def test_the_grade_says_what_the_page_for_assistants_quotes(blank, wrong, right, says):
    verdict = graded(blank, right, wrong)
    assert verdict.state == "wrong"
    assert says in str(verdict)


def test_homework_has_the_points_of_the_workbook_and_a_date(tmp_path):
    """Each blank is asked once, in the order of the workbook, with its points."""
    assert len(homework.sheets()) == 3
    in_order = [1, 2, 3, 6, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15]
    asked = []
    for sheet in homework.sheets(["12 May", "19 May", "26 May"]):
        total = int(re.search(r"^# Homework, .*\((\d+) points\)$", sheet, re.M)[1])
        tasks = re.findall(r"^\d\. \((\d+) points?\)", sheet, re.M)
        assert sum(map(int, tasks)) == total
        (points, text) = re.search(
            r"^\d\. \((\d+) points\) (Workbook, .*?)\n(?=\d|\n)", sheet, re.M | re.S
        ).groups()
        blanks = [int(number) for number in re.findall(r"\((\d)\)", text)]
        assert sum(blanks) == int(points)
        asked += blanks
        assert re.search(r"Hand in by: <b>\d+ May</b>", sheet)
    expected = [blank.points for blank in grading.BLANKS.values()]
    assert asked == [expected[number - 1] for number in in_order]
    pytest.importorskip("latex2mathml")
    homework.main([str(tmp_path)])
    assert "Hand in by: <b>____" in (tmp_path / "homework-1.html").read_text(encoding="utf-8")
