// Colours of numbers, by the theme of the page.

const channels = (hex) => [0, 2, 4].map((k) => Number.parseInt(hex.slice(k, k + 2), 16));

// cividis (Nunez, Anderton and Renslow 2018) at nine places: even steps of lightness.
const CIVIDIS = "00224e 123570 3b496c 575d6d 707173 8a8678 a59c74 c3b369 fee838"
  .split(" ")
  .map(channels);
// From blue (-1) through the paper (0) to orange (1), as numpylstm.plots.coloured_text.
const [BLUE, ORANGE] = ["56b4e9", "e69f00"].map(channels);

function between(from, to, share) {
  const mix = (k) => Math.round(from[k] + share * (to[k] - from[k]));
  return [mix(0), mix(1), mix(2)];
}

export function cividis(share) {
  const place = Math.max(0, Math.min(1, share || 0)) * (CIVIDIS.length - 1);
  const k = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return between(CIVIDIS[k], CIVIDIS[k + 1], place - k);
}

function is_dark() {
  const { theme } = document.documentElement.dataset;
  return theme ? theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// Colours that depend on the theme: for values from -1 to 1, for the same behind letters, which stay
// legible in the colour of the theme.
export function theme_colours() {
  const dark = is_dark();
  const paper = dark ? [20, 23, 31] : [255, 255, 255];
  const diverging = (share) =>
    between(paper, share > 0 ? ORANGE : BLUE, Math.min(1, Math.abs(share || 0)));
  return {
    diverging,
    behind_text: (share) => diverging(Math.max(-1, Math.min(1, share)) * (dark ? 0.5 : 1)),
  };
}

// Colour a canvas, one pixel for each of rows x columns values; the style sheet sets its size.
export function paint_pixels(canvas, rows, columns, colour) {
  [canvas.width, canvas.height] = [columns, rows];
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let k = 0; k < rows * columns; k++) {
    image.data.set(colour(Math.floor(k / columns), k % columns), 4 * k);
    image.data[4 * k + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
