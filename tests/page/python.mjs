// A program in Python, run by Pyodide: Python compiled to WebAssembly, as in a browser.

import { answer } from "./exchange.mjs";

async function run({ pyodide, folder, packages, program }) {
  const { loadPyodide } = await import(pyodide);
  const lines = [];
  const python = await loadPyodide({ stdout: (line) => lines.push(line) });
  await python.loadPackage(packages, { messageCallback: () => {} });
  python.mountNodeFS("/home/pyodide/numpylstm", folder);
  await python.runPythonAsync(program);
  return lines;
}

// The message alone: the line of the source that Node would show is all of Pyodide.
answer(run).catch((error) => {
  console.error(error.message);
  process.exitCode = 1;
});
