"""Draw the animation of the README: ``python docs/moving_picture.py``.

It takes screenshots of the race on the interactive page, in Chromium, and writes them to
``docs/images/race.gif``; the last one alone, for readers who prefer less motion, to
``docs/images/race.png``. Needs the extra ``browser``.
"""

import io
import shutil
import tempfile
from pathlib import Path

import PIL.Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from numpylstm import explore

IMAGES = Path(__file__).parent / "images"
PICTURES, UPDATES = 32, 25  # number of pictures, and updates between two of them
SHOWN = "#race .race"


def photograph() -> list[PIL.Image.Image]:
    """Return screenshots of the race from its start."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(
        filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome")))
    )
    for argument in ("--headless=new", "--no-sandbox", "--window-size=1000,1200"):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_script_timeout(300)
    try:
        with tempfile.TemporaryDirectory() as folder:
            driver.get(explore.write_page(Path(folder) / "cell.html").as_uri() + "#race")
            pictures = []
            for _ in range(PICTURES):
                driver.execute_script(f"explore.parts.race.step({UPDATES})")
                png = driver.find_element("css selector", SHOWN).screenshot_as_png
                pictures.append(PIL.Image.open(io.BytesIO(png)).convert("RGB"))
                print(f"{len(pictures)} of {PICTURES}", flush=True)
        return pictures
    finally:
        driver.quit()


def main() -> None:
    """Take the screenshots and write both files."""
    pictures = photograph()
    few = [picture.quantize(64, dither=PIL.Image.Dither.NONE) for picture in pictures]
    pictures[-1].save(IMAGES / "race.png", optimize=True)
    times = [120] * (len(few) - 1) + [4000]
    few[0].save(
        IMAGES / "race.gif", save_all=True, append_images=few[1:], duration=times, loop=0,
        optimize=True,
    )  # fmt: skip
    for name in ("race.gif", "race.png"):
        print(f"{name}: {(IMAGES / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
