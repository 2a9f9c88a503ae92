// A sample of a network as a picture to share: its text, and a line that says what it is.

const [WIDTH, LINE, MARGIN, FONT] = [1200, 36, 60, 26];
const PAPER = { ground: "#14171f", ink: "#e4e7ee", soft: "#a0a8b8" };

// Lines that fit, cut after spaces where there are any.
const lines_of = (text) =>
  text.split("\n").flatMap((line) => line.match(/.{1,68}(?:\s|$)|.{1,68}/gu) ?? [""]);

// Returns a PNG, as a blob.
export function as_picture(text, about) {
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const font = `${FONT}px ui-monospace, Menlo, Consolas, "DejaVu Sans Mono", monospace`;
  const lines = lines_of(text);
  [canvas.width, canvas.height] = [WIDTH, LINE * (lines.length + 2) + 2 * MARGIN];
  context.fillStyle = PAPER.ground;
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.font = font;
  context.fillStyle = PAPER.ink;
  lines.forEach((line, k) => {
    context.fillText(line, MARGIN, MARGIN + LINE * (k + 0.7));
  });
  context.fillStyle = PAPER.soft;
  const caption = `Written by an LSTM in a browser ${about} (numpylstm)`;
  context.fillText(caption, MARGIN, canvas.height - MARGIN);
  return new Promise((resolve) => {
    canvas.toBlob(resolve, "image/png");
  });
}
