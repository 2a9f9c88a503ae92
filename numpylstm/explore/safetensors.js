// A model as a safetensors file, which numpylstm-import reads: the length of a JSON header, the header,
// and the numbers of all arrays, in double precision.

export function safetensors(parameters, tokens) {
  const header = { __metadata__: { vocabulary: JSON.stringify(tokens) } };
  // The arrays of a vanilla network do not show its activation, which is always tanh in this engine.
  if ("rnn.0.Wx" in parameters)
    header.__metadata__.options = JSON.stringify({ activation: "tanh" });
  let end = 0;
  for (const [path, { rows, columns, data }] of Object.entries(parameters)) {
    const shape = path.endsWith(".b") ? [columns] : [rows, columns];
    header[path] = { dtype: "F64", shape, data_offsets: [end, end + data.byteLength] };
    end += data.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  const start = 8 * Math.ceil((8 + text.length) / 8);
  const file = new Uint8Array(start + end).fill(0x20, 8, start); // the header is padded with spaces
  const view = new DataView(file.buffer);
  view.setBigUint64(0, BigInt(start - 8), true);
  file.set(text, 8);
  for (const [path, { data }] of Object.entries(parameters)) {
    const at = start + header[path].data_offsets[0];
    for (let k = 0; k < data.length; k++) view.setFloat64(at + 8 * k, data[k], true);
  }
  return file;
}
