// Numbers as text.

const MINUS = "\u2212";

export function fixed(value, digits = 3) {
  if (!Number.isFinite(value)) return "not finite";
  const text = Math.abs(value).toFixed(digits);
  return (value < 0 && Number(text) !== 0 ? MINUS : "") + text;
}

const superscript = (exponent) =>
  String(exponent).replace(/./g, (digit) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(digit)]);

export const power_of_ten = (exponent) => (exponent === 0 ? "1" : `10${superscript(exponent)}`);

// Two digits: 0.052, 17, 3.1 × 10⁻⁷
export function scientific(value) {
  if (!Number.isFinite(value)) return "not finite";
  if (value === 0) return "0";
  const [digits, exponent] = value.toExponential(1).split("e").map(Number);
  if (exponent >= -3 && exponent < 3) return String(Number(value.toPrecision(2)));
  return `${digits.toFixed(1)} × ${power_of_ten(exponent)}`;
}
