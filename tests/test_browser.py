"""The interactive page and the explorer in a real browser, as a reader uses them.

Their numbers are compared with the textbook's in Node (`test_engine.py`, `test_instruments.py`).
"""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.pages import contrast, untrained

from numpylstm import explore, tape
from numpylstm.data.text import tokenize
from numpylstm.explore import own
from numpylstm.explore.player import write_player
from numpylstm.laboratory.mistakes.record import Mistake
from numpylstm.tape import working
from numpylstm.tape.golden import CELLS as ON_TAPE

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
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
FIGURES = ("alive", "counts", "pulse", "fade", "step", "carousel", "back", "own", "race")
MORE = ("reading",)


class Figure:
    """One figure of a page, as a reader handles it."""

    def __init__(self, browser, name):
        self.browser, self.name = browser, name

    def find(self, selector):
        return self.browser.find_element("css selector", f"#{self.name} {selector}")

    def find_all(self, selector):
        return self.browser.find_elements("css selector", f"#{self.name} {selector}")

    def number(self, name):
        """Return a number on the page, with all its digits."""
        shown = f"[data-name='{name}']"
        return float(wait(self.browser, lambda: self.find(shown).get_attribute("data-value")))

    def slide(self, name, *keys):
        """Move a slider by the keyboard."""
        self.find(f"input[name='{name}']").send_keys(*keys)

    def choose(self, name, option):
        self.click(self.find(f"input[name='{name}'][value='{option}'] + span"))

    def press(self, label):
        self.click(next(b for b in self.find_all("button") if b.text == label))

    def click(self, target):
        self.browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", target)
        target.click()

    def run(self, script, *arguments):
        """Run JavaScript, in which `part` is the state of the figure; return its result."""
        part = f"const part = explore.parts.{self.name};"
        return self.browser.execute_script(part + script, *arguments)


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
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
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
    """Return a function that opens the page at a figure; afterwards, it must have been quiet."""

    def open_page(place="counts", size="wide", **media):
        resize(browser, size)
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        browser.get("about:blank")
        browser.get_log("browser")  # what is read is gone
        browser.get(f"{page}#{place}")
        return Figure(browser, place.split("?")[0])

    yield open_page
    assert not browser.get_log("browser"), "something failed, or was refused by the policy"


def wait(browser, condition, seconds=60):
    """Wait for a condition; an element that was drawn again meanwhile is looked up again."""
    redrawn = [StaleElementReferenceException]
    waiting = WebDriverWait(browser, seconds, ignored_exceptions=redrawn)
    return waiting.until(lambda _: condition())


# --- the article ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "scheme"), [("wide", "light"), ("phone", "dark"), ("narrow", "light")]
)
def test_it_is_scrolled_from_top_to_bottom(opened, size, scheme):
    """Each figure is there when it comes into view; nothing is cut, nameless, faint or moving."""
    browser = opened("", size, prefers_color_scheme=scheme, prefers_reduced_motion="reduce").browser
    for name in (*FIGURES, *MORE):
        figure = Figure(browser, name)
        root = browser.find_element("id", name)
        if name in MORE:
            figure.click(root.find_element("xpath", "parent::details/summary"))
        browser.execute_script("arguments[0].scrollIntoView()", root)
        wait(browser, lambda figure=figure: figure.find_all("button, input"))
    cut, nameless, moving, background = browser.execute_script("""
        const right = (e) => e.getBoundingClientRect().right;
        const named = (e) => e.textContent.trim() || e.ariaLabel || e.labels?.length;
        const all = (selector) => [...document.querySelectorAll(selector)];
        return [
          all("svg text").filter((e) => right(e) > right(e.closest("svg")) + 0.5)
            .map((e) => e.textContent),
          all("button, input, textarea, [role=slider]")
            .filter((e) => e.offsetParent && !named(e)).map((e) => e.outerHTML),
          document.getAnimations().length,
          getComputedStyle(document.body).backgroundColor]""")
    assert (cut, nameless, moving) == ([], [], 0)
    assert background == {"dark": "rgb(20, 23, 31)", "light": "rgb(255, 255, 255)"}[scheme]
    assert faint_texts(browser, background) == []
    assert_it_fits(browser, size)


def assert_it_fits(browser, size):
    assert browser.execute_script("return document.documentElement.scrollWidth") <= SIZE[size][0]


def faint_texts(browser, paper):
    """Return the words of HTML text whose contrast with the page is below 4.5 (WCAG 2 AA)."""
    found = browser.execute_script("""
        return [...document.querySelectorAll("p, label, summary, td, th, h1, h2, h3, a, legend")]
          .filter((e) => e.offsetParent && e.textContent.trim())
          .map((e) => [e.textContent.trim().slice(0, 40), getComputedStyle(e).color]);""")
    return [words for words, ink in found if contrast(rgb(ink), rgb(paper)) < 4.5]


def rgb(colour):
    """Return the numbers of ``rgb(20, 23, 31)``, between 0 and 1."""
    return [int(number) / 255 for number in re.findall(r"\d+", colour)[:3]]


def test_the_opening_reads_by_itself(opened):
    """It waits under the pointer and the focus; a held forget gate stays open."""
    alive = opened("alive")
    wait(alive.browser, lambda: alive.run("return part.at") > 1)
    text = alive.find(".text")
    text.send_keys(Keys.END)  # the focus
    at = alive.run("return part.at")
    alive.browser.execute_async_script("setTimeout(arguments[0], 700)")
    assert alive.run("return part.at") == at
    free = alive.number("p")
    alive.press("Hold the forget gate open")
    assert alive.number("p") != free
    assert "f 1.00" in alive.find(".drawing").text
    text.send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    assert alive.run("return part.at") == 1


def test_the_opening_stands_still_with_less_motion(opened):
    alive = opened("alive", prefers_reduced_motion="reduce")
    at = alive.run("return part.at")
    alive.browser.execute_async_script("setTimeout(arguments[0], 700)")
    assert alive.run("return part.at") == at > 0


def test_the_first_figure_counts(opened):
    figure, steps = opened("counts"), []
    for label in (")", '"', "(", '"', ")"):
        before = figure.number("c")
        figure.press(label)
        steps.append(figure.number("c") - before)
    assert np.round(steps).tolist() == [1, 0, 0, 0, 1]
    assert figure.number("p") > 0.9  # all brackets are closed
    figure.press("Start again")
    assert figure.number("p") < 0.01


def test_sliders_and_choices_change_their_figure(opened):
    browser = opened().browser
    names = ("counts", "pulse", "fade", "carousel", "back")
    counts, pulse, fade, carousel, back = (Figure(browser, name) for name in names)
    for name in names:
        browser.execute_script("explore.make(arguments[0])", name)
    pulse.slide("w", Keys.HOME)
    assert pulse.run("return part.values[1][0]") == 0
    after_20 = "return part.values[20][0]"
    before = carousel.run(after_20)
    carousel.slide("bias", Keys.END)
    assert carousel.run(after_20) > before
    handle, before = back.find("input[name=forget_bias]"), back.number("cell")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", handle)
    ActionChains(browser).drag_and_drop_by_offset(handle, 60, 0).perform()  # as with a mouse
    assert back.number("cell") > before
    fade.find("svg.chart").send_keys(Keys.ARROW_LEFT, Keys.PAGE_DOWN)
    assert fade.find(".said").text.startswith("49 steps back: vanilla RNN ")
    counts.choose("hand", "f = 0")
    assert abs(counts.number("c")) < 1
    lines = counts.find_all(".line")
    assert len({line.get_attribute("d") for line in lines}) == 2  # free, and held


def test_the_race(opened):
    race = opened("race")
    browser = race.browser
    wait(browser, lambda: race.number("updates") == 150)  # before anybody presses a button
    race.press("Run")
    wait(browser, lambda: race.number("updates") > 162)
    browser.execute_script("scrollTo(0, 0)")  # out of sight it waits
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    before = race.number("updates")
    browser.execute_async_script("setTimeout(arguments[0], 200)")
    assert race.number("updates") == before
    race.press("Pause")
    race.press("Reset")
    assert race.number("updates") == 0
    race.click(race.find("summary"))
    race.slide("rate", Keys.END)
    race.choose("clip", "off")
    race.run("part.step(60)")
    ticks = [tick.text for tick in race.find_all("svg.chart text[text-anchor=end]")]
    highest = max(float(tick) for tick in ticks if tick.replace(".", "").isdigit())
    assert highest >= race.number("loss-rnn")  # nothing is cut off


def test_it_learns_a_text(opened, tmp_path):
    """In a worker: train, pause, hold a gate, continue, download; one sentence on a bad text."""
    own_text = opened("own")
    browser, said = own_text.browser, own_text.find("[data-name=said]")

    def paste(text):
        own_text.run("document.querySelector('#own textarea').value = arguments[0]", text)

    paste("short")
    own_text.press("Train")
    assert said.text == "This text has 5 characters; learning needs at least 500."
    paste("one <b>two</b> three; " * 12_000)
    own_text.press("Train")
    assert said.text.startswith("This text has 264 kB; the page learns from at most 200 kB.")
    own_text.choose("own-size", "32")
    own_text.press("Use the beginning")
    wait(browser, lambda: len(own_text.find_all(".samples p")) > 1)
    own_text.press("Pause")
    own_text.choose("own-hold", "f = 0")
    wait(browser, lambda: own_text.find_all("[data-name=free]"))  # its cost, although paused
    unit, updates = own_text.run("return [part.unit, part.report.updates]")
    own_text.press("Continue")
    bias_of_f = "return part.report.parameters['lstm.0.b'].data[32 + part.unit]"
    wait(browser, lambda: own_text.run(bias_of_f) == -1000)
    wait(browser, lambda: own_text.run("return part.report.updates") > updates)
    wait(browser, lambda: own_text.number("loss") < 1)  # it began at log 13 = 2.56
    assert own_text.number("speed") > 0
    assert own_text.run("return part.unit") == unit  # chosen by the reader, so it stays
    own_text.press("Pause")
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    browser.execute_cdp_cmd("Browser.grantPermissions", permissions)
    for button, what in {
        "Copy the newest sample": "sample",
        "Copy it as a picture": "picture",
    }.items():
        own_text.press(button)
        said_so = f"The {what} has been copied."
        wait(browser, lambda said_so=said_so: own_text.find(".copy output").text == said_so)
    allow = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allow)
    own_text.press("Download the model")
    file = tmp_path / "model.safetensors"
    wait(browser, file.exists)
    assert b"lstm.0.Wx" in file.read_bytes()
    own_text.press("Start again")
    wait(browser, lambda: own_text.find_all(".samples p"))


def test_one_step(opened):
    step = opened("step")

    def widths():
        return [float(pipe.get_attribute("stroke-width")) for pipe in step.find_all(".pipe")]

    before = widths()
    step.slide("b_f", Keys.HOME)
    closed = max(1.5, 16 * step.run("return part.values.f"))
    assert widths()[1] == pytest.approx(closed)
    assert widths()[2:] == before[2:]
    step.choose("way", "backward")
    assert widths()[0] == pytest.approx(closed)  # of dc_prev
    step.choose("cell", "rnn")
    step.slide("Wh_h", Keys.HOME)
    assert step.run("return part.values.dh_prev / part.values.da") == -3


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_trained_network_reads_what_is_typed(opened, scheme):
    reading = opened("reading", prefers_color_scheme=scheme)
    reading.choose("model", "python")
    textarea, held = reading.find("textarea"), reading.find("input[name=hold]")
    textarea.clear()
    textarea.send_keys('A "yield" expression\u2603')  # a snowman: not in the language reference
    assert "\u2603" in reading.find("[data-name=unknown]").text
    assert held.get_attribute("aria-valuetext") == "free"
    reading.slide("hold", Keys.ARROW_RIGHT, Keys.ARROW_LEFT)
    assert held.get_attribute("aria-valuetext") == "0.00"  # held at 0 is not free
    assert "c 0.00" in reading.find(".drawing").text
    for gate, usable in {"i": True, "f": False, "g": False, "o": True}.items():
        assert reading.find(f"input[name=clamp-{gate}]").is_enabled() == usable
    reading.choose("colour", "unit")
    reading.slide("hold", Keys.END)
    letters, *behind = reading.run("""
        const [text, ...spans] = document.querySelectorAll("#reading .text, #reading .text span");
        return [getComputedStyle(text).color, ...spans.map((e) => e.style.backgroundColor)]""")
    assert min(contrast(rgb(letters), rgb(colour)) for colour in behind) >= 4.5
    reading.find(".clamps button").send_keys(Keys.ENTER)
    assert reading.browser.switch_to.active_element.text == "Release"
    reading.find(".text").send_keys(Keys.HOME)
    assert reading.run("return part.at") == 0
    textarea.send_keys(Keys.CONTROL, "a", Keys.DELETE)
    for shown in (".heat", ".bars", ".own-strips", "[data-name=heat-title]"):
        assert not reading.find(shown).is_displayed()
    textarea.send_keys("def")
    assert reading.find(".bars").is_displayed()


VIEWS = {  # what a reader changes before sharing a figure
    "counts": lambda counts: (counts.press(")"), counts.choose("hand", "i = 1")),
    "own": lambda own: (
        own.find("textarea").clear(),
        own.find("textarea").send_keys("A text of mine & yours, é?\n"),
        own.choose("own-size", "32"),
    ),
    "reading": lambda reading: (
        reading.choose("model", "python"),
        reading.find(".heat").send_keys(Keys.ARROW_UP),
        reading.find("textarea").send_keys(" & é?\n"),
        reading.slide("hold", Keys.HOME),
        reading.choose("clamp-o", 1),
        reading.find(".text").send_keys(Keys.HOME),
    ),
}


@pytest.mark.parametrize("part", VIEWS)
def test_a_shared_view_is_reopened(opened, part):
    view = """
        const inputs = [...document.querySelectorAll(`#${arguments[0]} :is(input, textarea)`)];
        const controls = inputs.map((e) => [e.value, e.checked, e.ariaValueText]);
        return [part.unit, part.at, part.lag, part.words, controls]"""
    figure = opened(part)
    VIEWS[part](figure)
    before = figure.run(view, part)
    figure.press("Share this")
    assert "This link reopens this view." in figure.find(".share output").text
    address = figure.browser.current_url.split("#")[1]
    assert address.startswith(f"{part}?")
    assert opened(address).run(view, part) == before


def test_a_long_text_is_not_in_the_link(opened):
    own_text = opened("own")
    own_text.press("Share this")
    assert "longer than 2000 characters, so it is left out" in own_text.find(".share output").text
    assert len(own_text.browser.current_url) < 500


def test_inside_the_front_page(browser, page, tmp_path):
    """The frame holds the first figure alone, fits it, and takes the colours of the page."""
    script = Path(__file__).parent.parent / "docs" / "_static" / "cell.js"
    front = tmp_path / "front.html"
    front.write_text(
        f"""<!doctype html><html data-theme="dark">
        <p style="height: 40px">A headline</p>
        <iframe class="cell" src="{page}#alive" width="600"></iframe>
        <p style="height: 2000px"></p>
        <script src="{script.as_uri()}"></script>"""
    )
    browser.get(front.as_uri())
    frame = browser.find_element("tag name", "iframe")
    dark = "return getComputedStyle(document.body).backgroundColor === 'rgb(20, 23, 31)'"
    browser.switch_to.frame(frame)
    wait(browser, lambda: browser.execute_script(dark))
    shown = browser.find_elements("css selector", "form, h1, h2, aside, .prose")
    assert [each.get_attribute("id") for each in shown if each.is_displayed()] == ["alive"]
    high = browser.execute_script("return document.body.offsetHeight")
    browser.switch_to.default_content()
    wait(browser, lambda: 0 <= frame.size["height"] - high < 9)
    assert browser.execute_script("return scrollY") == 0


# --- the player ----------------------------------------------------------------------------------


class Player:
    """The page that plays the tape, as a reader handles it."""

    def __init__(self, browser):
        self.browser = browser

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def all(self, selector):
        return self.browser.find_elements("css selector", selector)

    def place(self):
        """Return the function that runs, and its place, as one line."""
        return " ".join(self.find("h2").text.split())

    def at(self):
        return int(self.find(".scrubber").get_attribute("value"))

    def go(self, line, place):
        """Step until the line that runs contains `line`, in a place such as ``t = 1, layer 0``."""
        self.browser.execute_script(
            """
            const text = (selector) => document.querySelector(selector).textContent;
            const [line, place] = arguments;
            const there = () => text(".now").includes(line) && text("h2").includes(place);
            while (!there()) document.querySelector("[data-act=step]").click();""",
            line,
            place,
        )

    def press(self, act):
        self.find(f"[data-act={act}]").click()

    def choose(self, name, option):
        self.find(f"input[name='{name}'][value='{option}'] + span").click()

    def drop(self, numbers):
        """Drop a file on the page."""
        self.browser.execute_script(
            """
            const files = new DataTransfer();
            files.items.add(new File([arguments[0]], "mine.json"));
            dispatchEvent(new DragEvent("drop", { dataTransfer: files, cancelable: true }));""",
            json.dumps(numbers),
        )
        return wait(self.browser, lambda: self.find(".message").text)

    def red(self):
        """Return the wrong numbers in the picture."""
        return [chip.text for chip in self.all(".chip.wrong")]


@pytest.fixture
def player(browser, tmp_path):
    """Return a function that opens the player; afterwards, it must have been quiet."""

    def open_player(size="wide", **media):
        resize(browser, size)
        features = [{"name": name.replace("_", "-"), "value": v} for name, v in media.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        page = write_player(tmp_path / "player.html")
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get(page.as_uri())
        return Player(browser)

    yield open_player
    assert not browser.get_log("browser"), "something failed, or was refused by the policy"


def test_it_plays_steps_and_scrubs(player):
    player = player()
    player.choose("speed", "fast")
    player.press("play")
    wait(player.browser, lambda: player.at() > 2)
    player.press("play")
    before = player.at()
    player.press("step")
    assert player.at() == before + 1
    body = player.find("body")
    body.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    assert player.at() == before - 1
    body.send_keys(Keys.END)
    assert player.find(".listing .now").text.strip() == "w -= lr * dw"
    body.send_keys(Keys.HOME, Keys.ARROW_DOWN)
    assert "lstm_step_forward t = 0, layer 0" in player.place()
    player.find(".scrubber").send_keys(Keys.PAGE_UP)
    assert player.at() > 10
    player.find(".phases button:nth-child(4)").click()
    assert "cross_entropy_step_backward t = 2" in player.place()


def test_the_line_has_its_numbers_and_each_number_its_sources(player):
    player = player()
    player.go("c = f * c_prev + i * g", "t = 0, layer 0")
    first, second = (line.text for line in player.all(".put-in p"))
    assert first == "c[0] = 0.278 = 0.838 * 0.300 + 0.440 * 0.060"
    assert second == "c[1] = \u22120.065 = 0.745 * \u22120.400 + 0.453 * 0.515"
    assert sorted(chip.text for chip in player.all(".chip.from")) == [
        "0.060",
        "0.300",
        "0.440",
        "0.838",
    ]
    assert len(player.all(".arrow.from")) == 4
    player.go("dWh += dWh_t", "t = 1, layer 1")
    assert len(player.all(".put-in .note .number")) == 16
    player.find(".put-in .note .number:last-child").click()
    assert player.find(".about h3").text == "dWh[1][7] (t = 1, layer 1)"


def test_the_terms_of_a_gradient_are_named_by_where_they_come_from(player):
    player = player()

    def terms(line, place):
        player.go(line, place)
        assert "rule 3" in player.find(".sum p").text
        return [term.text.splitlines() for term in player.all(".sum li")]

    assert terms("dhs[t] + dh", "t = 1, layer 1") == [
        ["0.863 from the scores of this step, through decoder.W", "dx[0]"],
        ["\u22120.171 from step t = 2, through Wh", "dh_prev[0] (t = 2)"],
    ]
    assert terms("dc = dc + dh * o", "t = 1, layer 1") == [
        ["\u22120.465 from step t = 2, through the forget gate f",
         "dc[0] (t = 2) * f[0] (t = 2)"],
        ["0.316 from h of this step, through the output gate o and tanh_c",
         "dh[0] * o[0] * (1 - tanh_c[0] * tanh_c[0])"],
    ]  # fmt: skip
    assert terms("dhs[t] + dh", "t = 1, layer 0")[0][0].endswith("from layer 1, above, through Wx")
    assert terms("dWh += dWh_t", "t = 0, layer 1") == [
        ["\u22120.006 from step t = 2", "h[0] (t = 1) * da_i[0] (t = 2)"],
        ["\u22120.002 from step t = 1", "h[0] (t = 0) * da_i[0] (t = 1)"],
        ["\u22120.001 from step t = 0", "h0[1][0] * da_i[0] (t = 0)"],
    ]


def test_all_numbers_follow_a_change(player):
    player = player()

    def loss():
        return player.browser.execute_script("return player.part.update.numbers.get('loss').v")

    right = loss()
    player.find("summary").click()
    player.choose("gate", "1")
    gate = "return player.part.update.numbers.get('forward.t1.lstm.1.f[0]').v"
    assert player.browser.execute_script(gate) == 1
    held = loss()
    player.choose("token-0", "3")
    assert len({right, held, loss()}) == 3
    player.press("tape")
    assert loss() == right
    player.find(".weights .number").click()
    weight = player.find("[name=weight]")
    weight.send_keys(Keys.ARROW_RIGHT)
    once = loss()
    weight.send_keys(Keys.ARROW_RIGHT)  # the slider is still there
    assert len({right, once, loss()}) == 3
    assert "no longer" in player.find(".message").text


WRONG_SIGNS = {
    "c = f * c_prev - i * g": (
        "lstm_step_forward", "c = f * c_prev + i * g",
        "forward.t0.lstm.0.c[0]", "c: the sign of i * g is wrong; its line: c = f * c_prev + i * g",
    ),
    "dc = dc - dh * o": (
        "lstm_step_backward", "dc = dc + dh * o",
        "backward.t2.lstm.1.dc[0]", "dc: the sign of dh * o * (1 - tanh_c * tanh_c) is wrong;",
    ),
    "da_g = dg * (1 + g * g)": (
        "lstm_step_backward", "da_g = dg * (1 - g * g)",
        "backward.t2.lstm.1.da_g[0]", "da_g: the sign of g * g is wrong;",
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_SIGNS)
def test_a_tape_with_a_wrong_sign(player, monkeypatch, wrong):
    """The player stops at the first wrong number, names the mistake, and all before it is right."""
    function, line, name, sentence = WRONG_SIGNS[wrong]
    mistake = Mistake(function, ((line, wrong),), "")
    monkeypatch.setattr(working, "reference", mistake.functions())
    player = player()
    said = player.drop(working.compute())
    assert f"The first wrong one is {name}: expected " in said
    assert sentence in said
    assert line in player.find(".listing .now").text
    assert player.find(".chip.chosen").get_attribute("class").split() == ["chip", "wrong", "chosen"]
    assert 1 <= len(player.red()) <= 4  # a state is also the previous one of the next step
    player.find("body").send_keys(Keys.END)
    assert len(player.red()) > 10


def test_a_right_tape_and_a_file_that_is_none(player):
    player = player()
    assert player.drop(tape.load("slstm")) == "All 662 numbers are right."
    assert player.red() == []
    said = player.drop({"forward": {"t0": {"lstm.0": {"ig": 1}}}})
    assert said.startswith(
        "These numbers cannot be marked: forward.t0.lstm.0.ig is not on the tape;"
    )


def test_a_tape_with_a_wrong_token(player):
    """The player stops where the token is read, or the target compared."""
    mine, player = tape.load(), player()
    mine["inputs"]["ids"][1] = 2
    assert "The first wrong one is inputs.ids[1]: expected 0.000000" in player.drop(mine)
    assert player.place().startswith("embedding_forward t = 1")
    assert player.find(".token.wrong").text == "token 0"
    mine = tape.load()
    mine["inputs"]["targets"][2] = 1
    player.drop(mine)
    assert player.place().startswith("cross_entropy_step_forward t = 2")
    assert player.find(".token.wrong").text == "t = 2: after token 3 comes 0"


@pytest.mark.parametrize(("size", "scheme"), [("wide", "light"), ("phone", "dark")])
@pytest.mark.parametrize("cell", ON_TAPE)
def test_each_cell_plays_from_end_to_end(player, cell, size, scheme):
    """At each step, nothing is undefined, and the number that is made is in view."""
    player = player(size, prefers_color_scheme=scheme)
    player.choose("cell", cell)
    assert_it_fits(player.browser, size)
    unseen = player.browser.execute_script("""
        const seen = [];
        for (let at = 0; at <= player.part.last; at++) {
          player.go(at);
          const text = document.querySelector("main").textContent;
          if (/undefined|NaN|\\[object/.test(text)) seen.push([at, "undefined"]);
          const chip = document.querySelector(".chip.chosen, .weights .chosen");
          const view = document.querySelector(".view").getBoundingClientRect();
          const box = chip?.getBoundingClientRect();
          if (chip?.closest("svg") && (box.left < view.left || box.right > view.right ||
              box.top < view.top || box.bottom > view.bottom)) seen.push([at, box.top, view.top]);
        }
        return seen""")
    assert unseen == []


# --- the explorer of a run -----------------------------------------------------------------------

HOSTILE = (
    "</script><script>document.title='run'</script>",
    "<img src=x onerror=document.title='run'>",
    "<!--<script>",
    "{{ script }}",
    "\u202egnal",
    "\x00\x1b[2J",
    "\u2028",
    "__proto__",
    "constructor",
    "&lt;b&gt;",
    "\"'`${x}",
    "</textarea>",
    "http://example.org/x.js",
    "é\u0301",
    "\U0001f980",
)


def hostile(**settings):
    """Return a model on hostile words, its vocabulary, its settings and a text."""
    model, vocabulary, config, text = untrained((*HOSTILE, "a", "b"), 0.7, **settings)
    text.ids[0] = vocabulary.unk_id
    tokens = ["never seen", *vocabulary.decode(text.ids[1:])]
    return model, vocabulary, config, text._replace(tokens=tokens)


@pytest.fixture
def explored(opened, tmp_path):
    """Return a function that opens the explorer of a model."""

    def explore_model(model, vocabulary, config, text, size="wide"):
        browser = opened("", size).browser
        page = tmp_path / "explorer.html"
        html = own.explorer_page("<b>run</b>", model, vocabulary, config, text)
        page.write_text(html, encoding="utf-8")
        browser.get(page.as_uri())
        reading = Figure(browser, "reading")
        reading.run("part.paint_norms()")
        return reading

    return explore_model


def test_the_ranking_of_the_cells(explored):
    """`test_instruments` compares the loss with a cell held."""
    model, vocabulary, config, text = hostile(cell="lstm", num_layers=2)
    ranking = own.rank_cells(model, text.ids)
    reading = explored(model, vocabulary, config, text)
    (unit, rise), *_ = ranking[1]
    assert [sorted(cell for cell, _ in layer) for layer in ranking] == [[*range(7)], [*range(7)]]
    assert reading.run("return part.unit") == unit
    assert f"+{rise:.4f}" in reading.find(".ranking li").text
    reading.find(".ranking li:last-child button").send_keys(Keys.ENTER)
    pressed = reading.find(".ranking [aria-pressed=true]")
    assert pressed.text == f"cell {ranking[1][-1][0]}"
    assert pressed == reading.browser.switch_to.active_element


def test_a_page_that_computes_another_loss_says_so(explored, monkeypatch):
    def said():
        reading = explored(*hostile(cell="gru"))
        return wait(reading.browser, lambda: reading.find("[data-name=loss-said]").text)

    right = said()
    monkeypatch.setattr(own, "evaluate", lambda *_: SimpleNamespace(loss=9))
    assert said() == f"{right} numpylstm computes 9: do not trust this page, and report it."


def test_a_cell_without_which_the_network_explodes_ranks_first(explored):
    """Each of two equal cells cancels the growth of the other; JSON has no such number."""
    model, vocabulary, config, text = hostile(cell="rnn", options={"activation": "relu"})
    embedding, Wx, Wh, b, W, bias = (p.data for p in model.parameters().values())
    for array in (embedding, Wx, Wh, b, W, bias):
        array[...] = 0
    embedding[0], Wx[0, :2], Wh[:2, :2], W[0, 0] = 1, 4, [[9, 9], [-9, -9]], 1
    ids = np.array(10 * [0, *19 * [1]])
    text = text._replace(ids=ids, tokens=vocabulary.decode(ids))
    reading = explored(model, vocabulary, config, text)
    assert reading.find(".ranking li").text == "cell 1 not finite"


@pytest.mark.parametrize("size", ["wide", "narrow"])
def test_what_is_in_a_text_is_never_code(explored, size):
    *model, text = hostile(cell="lstm")
    long = 200 * "b"
    reading = explored(*model, text._replace(name=HOSTILE[0] + long), size=size)
    browser, textarea = reading.browser, reading.find("textarea")
    assert not browser.find_elements("css selector", "main img, main b > b, .text *:not(span)")
    browser.execute_script("arguments[0].value = arguments[1]", textarea, "\n".join(HOSTILE))
    textarea.send_keys(" " + long)
    assert reading.run("return part.words") == tokenize(f"{chr(10).join(HOSTILE)} {long}")
    assert {"__proto__", "constructor"} <= {*reading.find(".text").text.split()}
    assert_it_fits(browser, size)
    browser.execute_script("""
        const script = document.createElement("script");
        script.textContent = "document.title = 'run'";
        document.body.append(script);""")
    assert browser.title == "<b>run</b>: numpylstm"  # by the policy of the page
    assert "script-src" in browser.get_log("browser")[0]["message"]
