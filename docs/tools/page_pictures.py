"""Draw pictures of the interactive page: ``python docs/tools/page_pictures.py [race] [preview]``.

They are screenshots, taken in Chromium:

- the race, for the README: ``docs/images/race.gif``, and its last picture alone, for readers who
  prefer less motion, ``docs/images/race.png``;
- the preview, which is shown with a link to the page: ``docs/_static/preview.png``.

Without an argument it draws both. Needs the extra ``browser``.
"""

import io
import shutil
import sys
import tempfile
from pathlib import Path

import PIL.Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from numpylstm import explore

DOCS = Path(__file__).parents[1]
PICTURES, UPDATES = 32, 25  # of the race: number of pictures, and updates between two of them
ONLY_THE_OPENING = """
const title = document.querySelector("h1");
const figure = document.getElementById("alive");
const said = document.createElement("p");
explore.parts.alive.go(8);
for (const each of figure.children) {
  if (!each.matches(".drawing, .text")) each.style.display = "none";
}
said.textContent = "One number inside a trained network. Nobody told it to count brackets.";
title.style.cssText = "font-size: 44px; margin: 12px 0 6px";
said.style.cssText = "font-size: 19px; line-height: 1.3; margin: 0 0 10px; max-width: none";
document.querySelector("main").replaceChildren(title, said, figure);
document.documentElement.style.overflow = "hidden";
scrollTo(0, 0);
"""


def open_browser() -> webdriver.Chrome:
    options = webdriver.ChromeOptions()
    options.binary_location = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1000,1200"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(300)
    return driver


def as_picture(png: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(png)).convert("RGB")


def save_race(driver: webdriver.Chrome, page: str) -> list[Path]:
    """Photograph the race from its start, and return the files written."""
    driver.get(f"{page}#race")
    driver.execute_script("explore.parts.race.reset()")  # it has begun by itself
    pictures = []
    for _ in range(PICTURES):
        driver.execute_script(f"explore.parts.race.step({UPDATES})")
        shown = driver.find_element("css selector", "#race .race")
        pictures.append(as_picture(shown.screenshot_as_png))
        print(f"{len(pictures)} of {PICTURES}", flush=True)
    moving, last = DOCS / "images" / "race.gif", DOCS / "images" / "race.png"
    few = [picture.quantize(64, dither=PIL.Image.Dither.NONE) for picture in pictures]
    pictures[-1].save(last, optimize=True)
    times = [120] * (len(few) - 1) + [4000]
    few[0].save(moving, save_all=True, append_images=few[1:], duration=times, loop=0, optimize=True)
    return [moving, last]


def save_preview(driver: webdriver.Chrome, page: str) -> list[Path]:
    """Photograph the title above the opening, 1200 x 630, and return the file written."""
    size = {"width": 800, "height": 420, "deviceScaleFactor": 1.5, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get(f"{page}#alive")
    driver.execute_script(ONLY_THE_OPENING)
    picture = as_picture(driver.get_screenshot_as_png())
    file = DOCS / "_static" / "preview.png"
    picture.quantize(64, dither=PIL.Image.Dither.NONE).save(file, optimize=True)
    return [file]


DRAWN = {"race": save_race, "preview": save_preview}


def main() -> None:
    driver = open_browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            page = explore.write_page(Path(folder) / "cell.html").as_uri()
            for name in sys.argv[1:] or DRAWN:
                for file in DRAWN[name](driver, page):
                    print(f"{file.name}: {file.stat().st_size / 1000:.0f} kB")
    finally:
        driver.quit()


if __name__ == "__main__":
    main()
