// Run a Python program in Pyodide, as a browser would:  node pyodide.mjs FOLDER… < program.py
// The folders are on its sys.path. It prints what the program leaves in `result`, as JSON.
import { readFileSync } from "node:fs";
import { loadPyodide } from "pyodide";

const python = await loadPyodide({ env: { HOME: "/home/pyodide", PYTHONDONTWRITEBYTECODE: "1" } });
for (const [number, folder] of process.argv.slice(2).entries()) {
  const place = `/mounted/${number}`;
  python.FS.mkdirTree(place);
  python.FS.mount(python.FS.filesystems.NODEFS, { root: folder }, place);
  python.runPython(`import sys; sys.path.append("${place}")`);
}
await python.runPythonAsync(readFileSync(0, "utf8"));
console.log(python.runPython("import json; json.dumps(result)"));
