// What the panel is built of. A widget has one module and no files to import, so panel.py puts the others behind this text.

const PATIENCE_MS = 1500;
const NO_ANSWER = { op: "error", message: "", hint: "" };
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

/** A field with its label above it. The label stands beside it, not round it: a list's entries would be read as part of it. */
function labelled(text, field) {
  field.id ||= `fnb-${Math.random().toString(36).slice(2)}`;
  return make("div", { className: "fnb-field" }, make("label", { htmlFor: field.id }, text), field);
}

/** The spelling of a reference that is safe in any place, as core/references.py has it. */
function reference(name) {
  return name.includes("}") ? `%secret "${name.replace(/["\\]/g, "\\$&")}"` : `\${secret:${name}}`;
}

/** How long ago a moment was, in seconds since 1970: in its largest unit, rounded down, as core/moments.py has it. */
function since(seconds) {
  if (seconds === null) return "–";
  const passed = Date.now() / 1000 - seconds;
  const [size, unit] = UNITS.find(([size]) => passed >= size) ?? [];
  return unit ? `${Math.floor(passed / size)} ${unit}` : "just now";
}

function age(seconds) {
  if (seconds === null) return since(seconds);
  const moment = new Date(seconds * 1000);
  return make("time", { dateTime: moment.toISOString(), title: moment.toLocaleString() }, since(seconds));
}

/** `2 of 1,000 secrets`, or `1 secret` where nothing is searched. */
function counted(matching, all, what, wanted) {
  const total = `${all.toLocaleString("en")} ${what}${all === 1 ? "" : "s"}`;
  return wanted ? `${matching.toLocaleString("en")} of ${total}` : total;
}

/** A button of a row; its label says which row's. */
function rowButton(action, text, label) {
  return make("button", { type: "button", className: "fnb-quiet", "data-action": action, "aria-label": label }, text);
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

/** Ask the kernel and hear its answers: `ask(question, value)` resolves with the answer to that question. What the kernel says
 *  without being asked goes to `hearers[op]`; `onSilence(true)` is called where an answer is long in coming. */
function openChannel(model, hearers, onSilence, onAnswer) {
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
    onAnswer();
    hearers[message.op]?.(message);
    open.get(message.id)?.(message);
    open.delete(message.id);
    watch();
  };
  const ask = (question, value) => {
    const id = `${view}-${count++}`;
    const answer = new Promise((resolve) => open.set(id, resolve));
    watch();
    try {
      model.send({ ...question, id }, undefined, value ? [value.buffer] : []);
    } catch {
      // A front end that knows that the kernel is gone; it has said so.
    }
    return answer;
  };
  /** Give up what was asked for: nobody will answer. */
  const forget = () => {
    for (const resolve of open.values()) resolve(NO_ANSWER);
    open.clear();
    watch();
  };
  const close = () => {
    clearTimeout(timer);
    model.off("msg:custom", hear);
  };
  model.on("msg:custom", hear);
  return { ask, forget, close };
}

/** One line for what went well, one for what did not, one for what is waited for. `say` takes back what was said before: `text`
 *  went well, `message` and `hint` did not. */
function messages() {
  const alert = make("p", { role: "alert" });
  const status = make("p", { role: "status" });
  const waiting = make("p", { role: "status", className: "fnb-waiting" });
  const say = ({ text = "", message = "", hint = "" }) => {
    status.textContent = text;
    alert.replaceChildren(...(message ? told(message, hint) : []));
  };
  const wait = (text) => {
    if (waiting.textContent !== text) waiting.textContent = text;
  };
  return { element: make("div", { className: "fnb-messages" }, alert, status, waiting), say, wait };
}

/** An error's two parts: what happened, and what to do. */
function told(message, hint) {
  return [message, " ", make("span", { className: "fnb-hint" }, hint)];
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
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (form.querySelector("[type=submit]:enabled")) onSave(event.submitter);
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") onCancel();
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.rows) form.requestSubmit();
  });
  return form;
}
