"""The interactive page and the explorer in a real browser, as a reader uses them.

Their numbers are compared with the textbook's in Node (`test_engine.py`, `test_instruments.py`).
"""

import json
import re
import shutil
from pathlib import Path
from statistics import median

import numpy as np
import pytest
from test_report import story

from numpylstm import LanguageModel, TrainConfig, Vocabulary, explore
from numpylstm.data.text import tokenize
from numpylstm.explore import own
from numpylstm.report import page as report

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.action_chains import ActionChains  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

CHROME = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
DRIVER = shutil.which("chromedriver")
if not (CHROME and DRIVER):
    pytest.skip("no Chromium with its chromedriver is installed", allow_module_level=True)

SIZE = {"wide": (1300, 1000), "phone": (390, 844), "narrow": (320, 568)}
FIGURES = ("counts", "pulse", "fade", "carousel", "back", "gates", "race", "own")
MORE = ("step", "reading", "reach")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the address of the page, a file on disk."""
    return explore.write_page(tmp_path_factory.mktemp("explore") / "cell.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROME
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    driver.set_script_timeout(120)
    yield driver
    driver.quit()


def resize(browser, size):
    width, height = SIZE[size]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


@pytest.fixture
def opened(browser, page):
    """Return a function that opens the page; afterwards, it must have been quiet."""

    def open_page(place="", size="wide", **media):
        resize(browser, size)
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get("about:blank")
        for kind in ("browser", "performance"):
            browser.get_log(kind)  # what is read is gone
        browser.get(f"{page}#{place}")
        return browser

    yield open_page
    assert not browser.get_log("browser"), "the page wrote to the console"
    assert not fetched_from_elsewhere(browser), "the page requested another host"


def fetched_from_elsewhere(browser):
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in messages
             if m["method"] == "Network.requestWillBeSent"]  # fmt: skip
    return [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))]


def find(browser, part, selector):
    return browser.find_element("css selector", f"#{part} {selector}")


def value(browser, part, name):
    """Return a number on the page, with all its digits."""
    return float(find(browser, part, f"[data-name='{name}']").get_attribute("data-value"))


def slide(browser, part, name, *keys):
    """Move a slider by the keyboard; return its value."""
    handle = find(browser, part, f"input[name='{name}']")
    handle.send_keys(*keys)
    return float(handle.get_attribute("value"))


def choose(browser, part, name, option):
    click(browser, find(browser, part, f"input[name='{name}'][value='{option}'] + span"))


def click(browser, target):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", target)
    target.click()


def press(browser, part, label):
    buttons = browser.find_elements("css selector", f"#{part} button")
    click(browser, next(button for button in buttons if button.text == label))


def wait(browser, condition, seconds=60):
    return WebDriverWait(browser, seconds).until(lambda _: condition())


# --- the article ---------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZE)
def test_it_is_scrolled_from_top_to_bottom(opened, size, scheme):
    """Each figure is there when it comes into view; nothing is cut, nameless or moving."""
    browser = opened("", size, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    for name in FIGURES:
        figure = browser.find_element("id", name)
        browser.execute_script("arguments[0].scrollIntoView()", figure)
        wait(browser, lambda figure=figure: figure.find_elements("css selector", "button, input"))
    for name in MORE:
        figure = browser.find_element("id", name)
        click(browser, figure.find_element("xpath", "parent::details/summary"))
        wait(browser, lambda figure=figure: figure.find_elements("css selector", "input"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= SIZE[size][0]
    cut = browser.execute_script("""
        const right = (e) => e.getBoundingClientRect().right;
        return [...document.querySelectorAll("svg text")]
          .filter((e) => right(e) > right(e.closest("svg")) + 0.5).map((e) => e.textContent)""")
    assert cut == []
    nameless = browser.execute_script("""
        const named = (e) => e.textContent.trim() || e.ariaLabel || e.labels?.length;
        return [...document.querySelectorAll("button, input, textarea, [role=slider]")]
          .filter((e) => e.offsetParent && !named(e)).map((e) => e.outerHTML)""")
    assert nameless == []
    assert browser.execute_script("return document.getAnimations().length") == 0
    background = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert background == {"dark": "rgb(20, 23, 31)", "light": "rgb(255, 255, 255)"}[scheme]
    assert faint_texts(browser) == []


def faint_texts(browser):
    """Return the words of HTML text whose contrast with the page is below 4.5 (WCAG 2 AA)."""
    found = browser.execute_script("""
        const colour = (e, name) => getComputedStyle(e)[name];
        return [...document.querySelectorAll("p, label, summary, td, th, h1, h2, h3, a, legend")]
          .filter((e) => e.offsetParent && e.textContent.trim())
          .map((e) => [e.textContent.trim().slice(0, 40), colour(e, "color")]);""")
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    return [words for words, ink in found if contrast(ink, paper) < 4.5]


def contrast(one, other):
    rgb = np.array([re.findall(r"\d+", colour)[:3] for colour in (one, other)], float) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    low, high = sorted(linear @ [0.2126, 0.7152, 0.0722] + 0.05)
    return high / low


def test_the_first_figure_counts(opened):
    browser = opened()
    steps = []
    for label in (")", '"', "(", '"', ")"):
        before = value(browser, "counts", "c")
        press(browser, "counts", label)
        steps.append(value(browser, "counts", "c") - before)
    assert np.round(steps).tolist() == [1, 0, 0, 0, 1]
    assert value(browser, "counts", "p") > 0.9  # all brackets are closed
    press(browser, "counts", "Start again")
    assert value(browser, "counts", "p") < 0.01


def test_sliders_and_choices_change_their_figure(opened):
    browser = opened()
    for name in FIGURES[:-1]:
        browser.execute_script("explore.make(arguments[0])", name)
    assert slide(browser, "pulse", "w", Keys.HOME) == 0
    assert value(browser, "pulse", "after-1") == 0
    slide(browser, "carousel", "bias", Keys.END)
    assert value(browser, "carousel", "after-20") > 0.7
    handle = find(browser, "back", "input[name=forget_bias]")  # dragged, as with a mouse
    before = value(browser, "back", "cell")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    ActionChains(browser).drag_and_drop_by_offset(handle, 60, 0).perform()
    assert value(browser, "back", "cell") > before
    chart = find(browser, "fade", "svg.chart")
    chart.send_keys(Keys.ARROW_LEFT, Keys.PAGE_DOWN)
    assert find(browser, "fade", "caption").text == "49 steps back"
    choose(browser, "gates", "hand", "f0")
    assert abs(value(browser, "gates", "c")) < 1


def test_the_race(opened):
    browser = opened("race")
    press(browser, "race", "Run")
    wait(browser, lambda: value(browser, "race", "updates") > 12)
    browser.execute_script("scrollTo(0, 0)")  # out of sight it waits
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    before = value(browser, "race", "updates")
    browser.execute_async_script("setTimeout(arguments[0], 200)")
    assert value(browser, "race", "updates") == before
    press(browser, "race", "Pause")
    press(browser, "race", "Reset")
    assert value(browser, "race", "updates") == 0
    browser.execute_script("explore.parts.race.step(250)")
    assert value(browser, "race", "loss-lstm") < value(browser, "race", "loss-rnn")
    click(browser, find(browser, "race", "summary"))
    slide(browser, "race", "rate", Keys.END)
    choose(browser, "race", "clip", "off")
    browser.execute_script("explore.parts.race.step(60)")
    ticks = browser.find_elements("css selector", "#race svg.chart text[text-anchor=end]")
    highest = max(float(tick.text) for tick in ticks if tick.text.replace(".", "").isdigit())
    assert highest >= value(browser, "race", "loss-rnn")  # nothing is cut off


def test_it_learns_a_text(opened, tmp_path):
    """In a worker: train, pause, hold a gate, continue, download; one sentence on a bad text."""
    browser = opened("own")
    textarea = find(browser, "own", "textarea")
    said = find(browser, "own", "[data-name=said]")
    set_value = """arguments[0].value = arguments[1];
        arguments[0].dispatchEvent(new Event('input', { bubbles: true }))"""
    browser.execute_script(set_value, textarea, "short")
    press(browser, "own", "Train")
    assert said.text == "This text has 5 characters; learning needs at least 500."
    browser.execute_script(set_value, textarea, "one <b>two</b> three; " * 12_000)
    press(browser, "own", "Train")
    assert said.text.startswith("This text has 264 kB; the page learns from at most 200 kB.")
    choose(browser, "own", "own-size", "32")
    press(browser, "own", "Use the beginning")
    wait(browser, lambda: len(browser.find_elements("css selector", "#own .samples p")) > 1)
    first = value(browser, "own", "loss")
    press(browser, "own", "Pause")
    choose(browser, "own", "own-hold", "f = 0")
    press(browser, "own", "Continue")
    bias_of_f = """const { report, unit } = explore.parts.own;
        return report.parameters["lstm.0.b"].data[32 + unit]"""
    wait(browser, lambda: browser.execute_script(bias_of_f) == -1000)
    wait(browser, lambda: value(browser, "own", "loss") < first - 0.3)
    assert value(browser, "own", "speed") > 0
    press(browser, "own", "Pause")
    allow = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
    press(browser, "own", "Download the model")
    file = tmp_path / "model.safetensors"
    wait(browser, file.exists)
    assert b"lstm.0.Wx" in file.read_bytes()


def test_without_a_worker_it_learns_as_well(opened):
    browser = opened("own")
    browser.execute_script("delete globalThis.Worker")
    press(browser, "own", "Train")
    assert "no background thread" in find(browser, "own", "[data-name=said]").text
    wait(browser, lambda: browser.find_elements("css selector", "#own .samples p"))


def test_one_step_and_its_code(opened):
    browser = opened("step")

    def widths():
        pipes = browser.find_elements("css selector", "#step .drawing .pipe")
        return [float(pipe.get_attribute("stroke-width")) for pipe in pipes]

    before = widths()
    slide(browser, "step", "b_f", Keys.HOME)
    closed = value(browser, "step", "f")
    assert widths()[1] == pytest.approx(max(1.5, 16 * closed))
    assert widths()[2:] == before[2:]
    choose(browser, "step", "way", "backward")
    assert widths()[0] == pytest.approx(max(1.5, 16 * closed))  # of dc_prev
    choose(browser, "step", "cell", "rnn")
    click(browser, find(browser, "step", "details summary"))
    for language, line in (("python", "dh_prev = da @ Wh.T"), ("javascript", "const dh_prev = ")):
        assert line in find(browser, "step", f"[data-source={language}]").text


def test_a_trained_network_reads_what_is_typed(opened):
    browser = opened("reading")
    choose(browser, "reading", "model", "python")
    textarea = find(browser, "reading", "textarea")
    textarea.clear()
    textarea.send_keys('A "yield" expression\u2603')  # a snowman: not in the language reference
    assert "\u2603" in find(browser, "reading", "[data-name=unknown]").text
    held = find(browser, "reading", "input[name=hold]")
    assert held.get_attribute("aria-valuetext") == "free"
    slide(browser, "reading", "hold", Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert held.get_attribute("aria-valuetext") == "0.00"  # held at 0 is not free
    assert value(browser, "reading", "value-c") == 0
    for gate, usable in {"i": True, "f": False, "g": False, "o": True}.items():
        assert find(browser, "reading", f"input[name=clamp-{gate}]").is_enabled() == usable
    find(browser, "reading", ".clamps button").send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.text == "Release"
    find(browser, "reading", ".heat").send_keys(Keys.ARROW_DOWN)
    find(browser, "reading", ".text").send_keys(Keys.HOME)
    assert browser.execute_script("return explore.parts.reading.at") == 0
    textarea.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    for part in (".heat", ".bars", ".own-strips", ".values", "[data-name=heat-title]"):
        assert not find(browser, "reading", part).is_displayed()
    textarea.send_keys("def")
    assert find(browser, "reading", ".bars").is_displayed()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_letters_are_legible_on_every_colour(opened, scheme):
    browser = opened("reading", prefers_color_scheme=scheme)
    choose(browser, "reading", "colour", "unit")
    slide(browser, "reading", "hold", Keys.END)
    letters, *behind = browser.execute_script("""
        const [text, ...spans] = document.querySelectorAll("#reading .text, #reading .text span");
        return [getComputedStyle(text).color, ...spans.map((e) => e.style.backgroundColor)]""")
    assert min(contrast(letters, colour) for colour in behind) >= 4.5


VIEW = """
const root = document.getElementById(arguments[0]);
return [...root.querySelectorAll("input, textarea")]
  .filter((input) => input.type !== "radio" || input.checked)
  .map((input) => [input.name, input.value, input.ariaValueText]);
"""
VIEWS = {
    "step": lambda b: (choose(b, "step", "cell", "gru"), slide(b, "step", "b_z", Keys.END)),
    "reach": lambda b: (
        slide(b, "reach", "T", Keys.END),
        find(b, "reach", "svg.chart").send_keys(Keys.HOME, Keys.ARROW_RIGHT),
    ),
    "race": lambda b: (
        click(b, find(b, "race", "summary")),
        slide(b, "race", "delay", Keys.HOME),
        choose(b, "race", "clip", "off"),
    ),
    "reading": lambda b: (
        choose(b, "reading", "model", "python"),
        find(b, "reading", ".heat").send_keys(Keys.ARROW_UP),
        find(b, "reading", "textarea").send_keys(" & é?\n"),
        slide(b, "reading", "hold", Keys.HOME),
        choose(b, "reading", "clamp-o", 1),
        find(b, "reading", ".text").send_keys(Keys.HOME),
    ),
}


@pytest.mark.parametrize("part", VIEWS)
def test_a_shared_view_is_reopened(opened, part):
    browser = opened(part)
    VIEWS[part](browser)
    before = browser.execute_script(VIEW, part)
    chosen = "const p = explore.parts; return [p.reading?.unit, p.reading?.at, p.reach?.lag]"
    place = browser.execute_script(chosen)
    press(browser, part, "Share this")
    assert "This link reopens this view." in find(browser, part, ".share output").text
    address = browser.current_url.split("#")[1]
    assert address.startswith(f"{part}?")
    opened(address)
    assert browser.execute_script(VIEW, part) == before
    assert browser.execute_script(chosen) == place


def test_inside_the_front_page(browser, page, tmp_path):
    """The frame holds the first figure alone, fits it, and takes the colours of the page."""
    script = Path(__file__).parent.parent / "docs" / "_static" / "cell.js"
    front = tmp_path / "front.html"
    front.write_text(
        f"""<!doctype html><html data-theme="dark">
        <iframe class="cell" src="{page}" width="600"></iframe>
        <script src="{script.as_uri()}"></script>"""
    )
    browser.get(front.as_uri())
    frame = browser.find_element("tag name", "iframe")
    dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 31)'"
    browser.switch_to.frame(frame)
    wait(browser, lambda: browser.execute_script(dark))
    shown = browser.find_elements("css selector", "form, h1, h2, aside, .prose")
    assert [each.get_attribute("id") for each in shown if each.is_displayed()] == ["counts"]
    high = browser.execute_script("return document.body.offsetHeight")
    browser.switch_to.default_content()
    wait(browser, lambda: 0 <= frame.size["height"] - high < 9)


def test_it_is_printed_whole(opened):
    browser = opened()
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    for name in FIGURES:
        drawn = "return document.querySelector(`#${arguments[0]} svg.chart`).childElementCount"
        assert name == "own" or browser.execute_script(drawn, name)


ANSWER = """
const [part, name, values] = arguments;
const input = document.querySelector(`#${part} input[name=${name}]`);
return values.map((value) => {
  const began = performance.now();
  input.value = value;
  input.dispatchEvent(new Event("input", { bubbles: true }));
  document.body.getBoundingClientRect();  // lay out what has changed
  return performance.now() - began;
});
"""


def test_how_soon_the_page_answers(opened):
    """The aim is 16 ms on an idle machine; the limits are wider, as this one may be busy."""
    times, paints = {}, []

    def first_paint():
        paint = "return performance.getEntriesByType('paint')[0]?.startTime"
        return browser.execute_script(paint)

    for part, name, low, high in (
        ("step", "b_f", -4, 4), ("reading", "hold", -1, 1), ("reach", "forget_bias", 0, 5),
        ("pulse", "w", 0, 1.5), ("back", "forget_bias", 0, 5),
    ):  # fmt: skip
        browser = opened(part)
        paints.append(wait(browser, first_paint))
        values = np.linspace(low, high, 21).tolist()
        times[part] = median(browser.execute_script(ANSWER, part, name, values))
    first = median(paints)
    print("\nmedian times in ms:", {name: round(each, 1) for name, each in times.items()},
          f"first paint {first:.1f}")  # fmt: skip
    assert max(times.values()) < 500
    assert first < 1500


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_the_report_of_a_run_fits(browser, tmp_path, size):
    """Its curves are drawn for the width of the screen, and nothing overflows it."""
    html = report.page(story(true=["a", " ", "b"], predicted=["a", "c", " "]))
    (tmp_path / "report.html").write_text(html, encoding="utf-8")
    resize(browser, size)
    browser.get((tmp_path / "report.html").as_uri())
    assert browser.execute_script("return document.documentElement.scrollWidth") <= SIZE[size][0]
    places = [i.location["y"] for i in browser.find_elements("css selector", ".pairs i")]
    assert len(set(places)) == 1  # below the true token, be that a space
    shape = browser.execute_script(
        "const i = document.querySelector('img'); return [i.naturalWidth, i.naturalHeight]"
    )
    inches = report.NARROW if size == "narrow" else report.WIDE
    assert shape[0] / shape[1] == pytest.approx(inches[0] / inches[1], rel=0.01)


# --- the explorer of a run -----------------------------------------------------------------------

HOSTILE = (
    "</script><script>document.title='run'</script>", "<img src=x onerror=document.title='run'>",
    "<!--<script>", "{{ script }}", "\u202egnal", "\x00\x1b[2J", "\u2028", "__proto__",
    "constructor", "&lt;b&gt;", '"\'`${x}', "</textarea>", "http://example.org/x.js",
    "é\u0301", "\U0001f980",
)  # fmt: skip


def untrained(**settings):
    """Return a model of 7 units on hostile words, its vocabulary, its settings and a text."""
    config = TrainConfig(train="text.txt", hidden_size=7, **settings)
    vocabulary = Vocabulary((*HOSTILE, "<unk>", "<eos>", "a", "b"))
    model = LanguageModel.from_config(config, len(vocabulary))
    rng = np.random.default_rng(3)
    for parameter in model.parameters().values():
        parameter.data[...] = rng.normal(0, 0.7, parameter.data.shape)
    ids = rng.integers(0, len(vocabulary), 23)
    text = own.ReadText(HOSTILE[0], ids, ["never seen", *vocabulary.decode(ids)[1:]])
    ids[0] = vocabulary.unk_id
    return model, vocabulary, config, text


@pytest.fixture
def explored(opened, browser, tmp_path):
    """Return a function that opens the explorer of a model."""

    def explore_model(model, vocabulary, config, text, size="wide"):
        opened("", size)
        page = tmp_path / "explorer.html"
        html = own.explorer_page("<b>run</b>", model, vocabulary, config, text)
        page.write_text(html, encoding="utf-8")
        browser.get(page.as_uri())
        browser.execute_script("explore.parts.reading.listen()")
        return browser

    return explore_model


def test_the_ranking_is_that_of_the_means(explored):
    model, vocabulary, config, text = untrained(cell="lstm", num_layers=2)
    ranking = own.rank_cells(model, text.ids)
    browser = explored(model, vocabulary, config, text)
    (unit, rise), *_ = ranking[1]
    assert [sorted(cell for cell, _ in layer) for layer in ranking] == [[*range(7)], [*range(7)]]
    assert browser.execute_script("return explore.parts.reading.unit") == unit
    browser.execute_script("""
        const { touched, layer, unit, hold } = explore.parts.reading;
        const c = touched.map(({ steps }) => steps[layer].c.data[unit]);
        hold({ c: c.reduce((a, b) => a + b) / c.length });""")
    loss = value(browser, "reading", "loss-held") - value(browser, "reading", "loss")
    assert loss == pytest.approx(rise, abs=1e-5)
    assert f"+{rise:.4f}" in find(browser, "reading", ".ranking li").text
    find(browser, "reading", ".ranking li:last-child button").send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.text == f"cell {ranking[1][-1][0]}"
    pressed = find(browser, "reading", ".ranking [aria-pressed=true]")
    assert pressed == browser.switch_to.active_element


def test_a_cell_without_which_the_network_explodes_ranks_first(explored):
    """Each of two equal cells cancels the growth of the other; JSON has no such number."""
    model, vocabulary, config, text = untrained(cell="rnn", options={"activation": "relu"})
    for parameter in model.parameters().values():
        parameter.data[...] = 0
    model.parameters()["embedding.W"].data[0] = 1
    model.parameters()["rnn.0.Wx"].data[0, :2] = 4
    model.parameters()["rnn.0.Wh"].data[:2, :2] = [[9, 9], [-9, -9]]
    model.parameters()["decoder.W"].data[0, 0] = 1
    ids = np.array(10 * [0, *19 * [1]])
    text = text._replace(ids=ids, tokens=vocabulary.decode(ids))
    browser = explored(model, vocabulary, config, text)
    assert find(browser, "reading", ".ranking li").text == "cell 1 not finite"
    slide(browser, "reading", "hold", Keys.ARROW_RIGHT)
    browser.execute_script("explore.parts.reading.point(180); explore.parts.reading.listen()")
    spans = browser.find_elements("css selector", "#reading .text span")
    listens = [span.get_attribute("data-listens") for span in spans]
    assert "Infinity" in listens  # and the chart has an end


def test_the_explorer_of_a_model_too_large_for_the_page(explored, monkeypatch):
    monkeypatch.setattr(own, "MOST_PARAMETERS", 100)
    browser = explored(*untrained(cell="lstm", num_layers=2))
    assert "too large for the page" in browser.find_element("id", "recorded").text
    assert not find(browser, "reading", "textarea").is_displayed()
    assert not find(browser, "reading", ".clamps").is_displayed()
    choose(browser, "reading", "layer", 0)
    assert find(browser, "reading", ".heat").is_displayed()


@pytest.mark.parametrize("size", SIZE)
def test_what_is_in_a_text_is_never_code(explored, size):
    *model, text = untrained(cell="lstm")
    long = 200 * "b"
    browser = explored(*model, text._replace(name=HOSTILE[0] + long), size=size)
    assert browser.title == "<b>run</b>: numpylstm"
    assert not browser.find_elements("css selector", "main img, main b > b, .text *:not(span)")
    textarea = find(browser, "reading", "textarea")
    browser.execute_script("arguments[0].value = arguments[1]", textarea, "\n".join(HOSTILE))
    textarea.send_keys(" " + long)
    words = browser.execute_script("return explore.parts.reading.words")
    assert words == tokenize(f"{chr(10).join(HOSTILE)} {long}")
    assert {"__proto__", "constructor"} <= {*find(browser, "reading", ".text").text.split()}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= SIZE[size][0]
    refused = browser.execute_script("""
        const script = document.createElement("script");
        script.textContent = "document.title = 'run'";
        document.body.append(script);
        return document.title;""")
    assert refused == "<b>run</b>: numpylstm"  # by the policy of the page
    assert "script-src" in browser.get_log("browser")[0]["message"]


def test_an_unknown_character_is_typed_as_one(explored):
    model, vocabulary, config, text = untrained(cell="lstm", level="char")
    ids = vocabulary.encode(["a", "<unk>", "b"])[0]
    text = text._replace(ids=ids, tokens=vocabulary.decode(ids))
    browser = explored(model, vocabulary, config, text)
    find(browser, "reading", "textarea").send_keys("a")
    assert browser.execute_script("return explore.parts.reading.ids") == [*ids, ids[0]]
