// What the panel is built of. A widget has one module and no files to import, so panel.py puts panel.js behind this text.

const PATIENCE_MS = 1500;
const UNITS = [[31536000, "y"], [86400, "d"], [3600, "h"], [60, "min"]];

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** The spelling of a reference that is safe in any place, as core/references.py has it. */
function reference(name) {
  return name.includes("}") ? `%secret "${name.replace(/["\\]/g, "\\$&")}"` : `\${secret:${name}}`;
}

function age(seconds) {
  if (seconds === null) return "–";
  const passed = Date.now() / 1000 - seconds;
  const [size, unit] = UNITS.find(([size]) => passed >= size) ?? [];
  const text = unit ? `${Math.floor(passed / size)} ${unit}` : "just now";
  const moment = new Date(seconds * 1000);
  return make("time", { dateTime: moment.toISOString(), title: moment.toLocaleString() }, text);
}

/** Copy text. A page that came over plain http has no clipboard API, so there is the old way too. */
async function copy(text, root) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const focused = document.activeElement;
    const area = root.appendChild(make("textarea", { value: text, className: "fnb-hidden" }));
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    focused?.focus();
    return copied;
  }
  return true;
}

/** Ask the kernel and hear its answers: `ask(question, value)` resolves with the answer to that question. */
function openChannel(model, onList, onSilence) {
  const view = Math.random().toString(36).slice(2); // Each view of this model hears the answers to all of them.
  const open = new Map();
  let count = 0;
  let timer;
  const watch = () => {
    clearTimeout(timer);
    onSilence(false);
    if (open.size) timer = setTimeout(onSilence, PATIENCE_MS, true);
  };
  const hear = (message) => {
    if (message.op === "list") onList(message.names);
    open.get(message.id)?.(message);
    open.delete(message.id);
    watch();
  };
  const ask = (question, value) => {
    const id = `${view}-${count++}`;
    const answer = new Promise((resolve) => open.set(id, resolve));
    watch();
    model.send({ ...question, id }, undefined, value ? [value.buffer] : []);
    return answer;
  };
  const close = () => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
  };
  model.on("msg:custom", hear);
  return { ask, close };
}

/** A labelled field that hides what is typed; a value of several lines, as a PEM key, gets a masked text area. */
function valueField(label) {
  const line = make("input", { type: "password", autocomplete: "new-password", required: true });
  // No spell checking: some browsers send the text away for it.
  const lines = make("textarea", { className: "fnb-masked", autocomplete: "off", spellcheck: false, required: true, rows: 4 });
  const toggle = make("button", { type: "button", className: "fnb-toggle", title: "For a value such as a private key" });
  let field = line;
  const use = (next) => {
    next.value = next === lines ? field.value : ""; // One line cannot hold what was in several: it starts empty.
    if (next !== field) {
      field.replaceWith(next);
      field.value = "";
      field = next;
    }
    toggle.textContent = field === lines ? "One line" : "Multi-line";
  };
  toggle.addEventListener("click", () => (use(field === lines ? line : lines), field.focus()));
  line.addEventListener("paste", (event) => {
    const text = event.clipboardData.getData("text");
    if (!/[\r\n]/.test(text.trim())) return; // A line break at the end is dropped by the browser.
    event.preventDefault();
    const { selectionStart, selectionEnd } = line;
    use(lines);
    lines.setRangeText(text, selectionStart, selectionEnd, "end");
    lines.focus();
  });
  const element = make("div", { className: "fnb-field fnb-value" }, make("label", {}, label, field), toggle);
  use(line);
  const clear = () => use(line);
  const take = () => {
    const bytes = new TextEncoder().encode(field.value);
    clear();
    return bytes;
  };
  return { element, take, clear, focus: () => field.focus() };
}

/** A form that Enter saves and Escape leaves; in a text area, where Enter is a line break, Ctrl+Enter saves. */
function makeForm(properties, onSave, onCancel, ...children) {
  const form = make("form", { autocomplete: "off", ...properties }, ...children);
  form.addEventListener("submit", (event) => (event.preventDefault(), onSave()));
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") onCancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.rows) form.requestSubmit();
  });
  return form;
}
