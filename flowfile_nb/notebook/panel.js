// The panel of secrets. Names come and values go by custom messages only: a notebook saves what is in a synced trait.

const FEW_ROWS = 100; // How many are drawn at once; more follow as one scrolls.
const ROW_HEIGHT = 30; // Until a row has been measured.
const COPIED_MS = 1500;
const MAX_BYTES = 512 * 1024; // As core/names.py. A larger message could cost the whole connection to the kernel.
const WAITING = "Waiting for the kernel: it is running a cell, or is not there.";
const gettingStarted = () => ["No secrets yet. Add a name and its value above, then write ", make("code", {}, "%secret NAME"),
  " where ", make("code", {}, "%%connect"), " needs the value."];

class Panel {
  constructor(model, el) {
    this.names = null; // Unknown until the kernel has answered.
    this.details = new Map(); // What is told of a name, by name; asked for when its row is drawn.
    this.fresh = new Set(); // The names that were asked for since the last list.
    this.matching = [];
    this.detail = null; // What is open below one secret's row: {name, action, row}.
    this.added = null; // A name to scroll to, once the list holds it.
    this.asking = false;
    this.build(el);
    this.channel = openChannel(model, (names) => this.receive(names), (silent) => (this.waiting.textContent = silent ? WAITING : ""));
    this.refresh();
  }

  build(el) {
    this.count = make("span", { className: "fnb-count" });
    this.search = make("input", { type: "search", placeholder: "Search names", "aria-label": "Search secrets by name", spellcheck: false });
    this.search.addEventListener("input", () => this.show(0));
    this.name = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
    this.value = valueField("Value");
    this.form = makeForm({ className: "fnb-form", "aria-label": "Add secret" }, () => this.add(), () => this.reset(),
      make("div", { className: "fnb-field" }, make("label", {}, "Name", this.name)), this.value.element,
      make("button", { type: "submit", className: "fnb-primary" }, "Add secret"));
    this.alert = make("p", { role: "alert" });
    this.status = make("p", { role: "status" });
    this.waiting = make("p", { role: "status", className: "fnb-waiting" });
    this.body = make("tbody");
    this.above = make("td"); // As high as the rows that are not drawn, so that the scroll bar is true.
    this.below = make("td");
    const space = (cell) => make("tbody", { className: "fnb-space", "aria-hidden": "true" }, make("tr", {}, cell));
    this.rowHeight = ROW_HEIGHT;
    const columns = ["Name", "Owner", "Shared by", "Age", "Last used"].map((title) => make("th", { scope: "col" }, title));
    const actions = make("th", { scope: "col" }, make("span", { className: "fnb-hidden" }, "Actions"));
    this.table = make("table", {}, make("caption", { className: "fnb-hidden" }, "Secrets; their values are not shown"),
      make("thead", {}, make("tr", {}, ...columns, actions)), space(this.above), this.body, space(this.below));
    this.scroller = make("div", { className: "fnb-scroll", hidden: true }, this.table);
    this.empty = make("p", { className: "fnb-empty", hidden: true });
    this.scroller.addEventListener("scroll", () => this.drawView(), { passive: true });
    this.wizard = setupWizard(el, (said) => this.say(said));
    this.body.addEventListener("click", (event) => this.act(event.target.closest("button[data-action]")));
    this.body.addEventListener("keydown", (event) => this.move(event));
    this.root = make("section", { className: "fnb-panel", "aria-label": "Secrets", "data-lm-suppress-shortcuts": "true" },
      make("header", {}, make("h3", {}, "Secrets"), this.count, this.search), this.form, this.wizard.element,
      make("div", { className: "fnb-messages" }, this.alert, this.status, this.waiting), this.scroller, this.empty);
    // A notebook would take `d d` for "delete this cell", and Enter on a button for "edit it".
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    this.root.addEventListener("mouseenter", () => this.refresh());
    this.root.addEventListener("focusin", (event) => this.root.contains(event.relatedTarget) || this.refresh());
    el.append(this.root);
  }

  /** Ask for the list again when somebody turns to the panel: a cell or Flowfile itself may have changed it. */
  async refresh() {
    if (this.asking) return;
    this.asking = true;
    const answer = await this.channel.ask({ op: "list" });
    this.asking = false;
    if (answer.op === "error") this.say(answer);
    this.setUp(answer.op === "setup");
  }

  /** Show the wizard instead of the list, where a master key is missing, or the list instead of the wizard. */
  setUp(needed) {
    if (needed !== this.wizard.element.hidden) return;
    this.wizard.element.hidden = !needed;
    this.form.hidden = this.search.hidden = needed;
    this.count.textContent = needed ? "no master key yet" : this.count.textContent;
    if (needed) this.received = this.scroller.hidden = this.empty.hidden = true; // Any list that comes is shown again.
    else this.wizard.clear();
  }

  receive(names) {
    this.fresh = new Set();
    const text = names.join("\n"); // No name has a line break.
    if (text === this.received) return this.tell();
    this.received = text;
    const folded = names.map((name) => [name.toLowerCase(), name]);
    this.names = folded.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)).map(([, name]) => name);
    this.show(this.scroller.scrollTop);
  }

  /** Ask what is to be told of the rows that are drawn, and write it into those of which it has changed. */
  async tell() {
    const { fresh } = this;
    const names = this.matching.slice(this.first, this.end).filter((name) => !fresh.has(name));
    if (!names.length) return;
    names.forEach((name) => fresh.add(name));
    const answer = await this.channel.ask({ op: "describe", names });
    if (answer.op === "error") return this.say(answer);
    const changed = new Set(names);
    const [found, owners, sharers, updates, uses] = answer.columns;
    found.forEach((name, index) => {
      const detail = { owner: owners[index], sharedBy: sharers[index], updated: updates[index], used: uses[index] };
      detail.own = !detail.sharedBy && detail.owner !== "environment";
      if (JSON.stringify(detail) === JSON.stringify(this.details.get(name))) changed.delete(name);
      this.details.set(name, detail);
    });
    this.write(changed);
  }

  write(names) {
    // A column that says the same of each secret takes its room from the names.
    const told = [...this.details.values()];
    this.table.classList.toggle("fnb-all-own", told.every(({ own }) => own));
    this.table.classList.toggle("fnb-unused", told.every(({ used }) => used === null));
    for (const row of [...this.body.rows].filter((row) => names.has(row.dataset.name))) {
      const anew = this.rowOf(row.dataset.name, 0);
      [...anew.cells].forEach((cell, index) => {
        const there = row.cells[index];
        if (!cell.matches(".fnb-actions")) there.replaceChildren(...cell.childNodes);
        // The first stays, and all where they are the same: one of them may have the focus, or say "Copied".
        else if (cell.children.length !== there.children.length) {
          [...there.children].slice(1).forEach((button) => button.remove());
          there.append(...[...cell.children].slice(1));
        }
      });
    }
  }

  /** Draw the secrets whose name has the text of the search in it, scrolled to where *top* pixels are above. */
  show(top) {
    if (!this.names) return;
    const wanted = this.search.value.trim().toLowerCase();
    const all = this.names.length;
    this.matching = this.names.filter((name) => name.toLowerCase().includes(wanted));
    const total = `${all.toLocaleString("en")} ${all === 1 ? "secret" : "secrets"}`;
    this.count.textContent = wanted ? `${this.matching.length.toLocaleString("en")} of ${total}` : total;
    this.empty.replaceChildren(...(all ? [`No name contains “${wanted}”.`] : gettingStarted()));
    this.empty.hidden = this.matching.length > 0;
    this.scroller.hidden = !this.matching.length;
    this.table.setAttribute("aria-rowcount", this.matching.length + 1);
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    this.drawAround(Math.floor(top / this.rowHeight));
    this.scroller.scrollTop = top;
    this.showAdded();
    // The rows are new elements, but an open form has been moved over with what is typed in it.
    if (focused?.isConnected) focused.focus();
    else if (focused?.dataset.action) this.focusAction(focused.closest("tr").dataset.name, focused.dataset.action);
  }

  /** Draw some rows round the one with this number, and no others. */
  drawAround(index) {
    this.first = Math.max(0, Math.min(index - FEW_ROWS / 2, this.matching.length - FEW_ROWS));
    this.end = Math.min(this.first + FEW_ROWS, this.matching.length);
    this.body.replaceChildren(...this.rows(this.first, this.end));
    this.rowHeight = this.rowNamed(this.matching[this.first])?.getBoundingClientRect().height || this.rowHeight;
    this.keepSpace();
  }

  /** Draw what has come near the view; a leap draws only where it ends. */
  drawView() {
    const { scrollTop, clientHeight } = this.scroller;
    const [from, to] = [scrollTop - clientHeight, scrollTop + 2 * clientHeight].map((top) => Math.floor(top / this.rowHeight));
    if (from > this.end || to < this.first) return this.drawAround(Math.floor(scrollTop / this.rowHeight));
    const [first, end] = [Math.max(0, this.first - FEW_ROWS), Math.min(this.end + FEW_ROWS, this.matching.length)];
    if (from < this.first) {
      this.body.prepend(...this.rows(first, this.first));
      this.first = first;
    }
    if (to > this.end) {
      this.body.append(...this.rows(this.end, end));
      this.end = end;
    }
    this.keepSpace();
  }

  rows(from, to) {
    return this.matching.slice(from, to).flatMap((name, index) => {
      const row = this.rowOf(name, from + index);
      return this.detail?.name === name ? [row, this.detail.row] : [row];
    });
  }

  keepSpace() {
    this.tell();
    this.above.style.height = `${this.first * this.rowHeight}px`;
    this.below.style.height = `${(this.matching.length - this.end) * this.rowHeight}px`;
  }

  rowOf(name, index) {
    const { owner, sharedBy, updated, used, own } = this.details.get(name) ?? { updated: null, used: null };
    const button = (action, text, label) =>
      make("button", { type: "button", className: "fnb-quiet", "data-action": action, "aria-label": `${label} ${name}` }, text);
    const actions = make("td", { className: "fnb-actions" }, button("copy", "Copy reference", "Copy reference to"));
    if (own) actions.append(button("replace", "Replace", "Replace the value of"), button("delete", "Delete", "Delete"));
    return make("tr", { "data-name": name, "aria-rowindex": index + 2 }, make("th", { scope: "row", title: name }, name),
      make("td", {}, owner ?? ""), make("td", {}, sharedBy || "–"), make("td", {}, age(updated)), make("td", {}, age(used)), actions);
  }

  rowNamed(name) {
    return [...this.body.rows].find((row) => row.dataset.name === name);
  }

  showAdded() {
    const index = this.matching.indexOf(this.added);
    if (index < 0) return;
    if (index < this.first || index >= this.end) this.drawAround(index);
    const row = this.rowNamed(this.added);
    row.classList.add("fnb-added");
    this.scroller.scrollTop = row.offsetTop - this.scroller.clientHeight / 2;
    this.added = null;
  }

  /** Say one thing and take back what was said before: `text` went well, `message` and `hint` did not. */
  say({ text = "", message = "", hint = "" }) {
    this.status.textContent = text;
    this.alert.replaceChildren(...(message ? [message, " ", make("span", { className: "fnb-hint" }, hint)] : []));
  }

  act(button) {
    if (!button) return;
    const { name } = button.closest("tr").dataset;
    const { action } = button.dataset;
    if (action === "copy") this.copyReference(name, button);
    else if (action === "replace") this.askValue(name);
    else this.askDelete(name);
  }

  /** Arrow keys go from row to row, so that the Tab key is not the only way through a thousand of them. */
  move(event) {
    const [next, action] = [{ ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key], event.target.dataset.action];
    if (!next || !action) return;
    event.preventDefault();
    let row = event.target.closest("tr")[next];
    while (row && !row.dataset.name) row = row[next];
    (row?.querySelector(`[data-action=${action}]`) ?? row?.querySelector("[data-action]"))?.focus();
  }

  focusAction(name, action) {
    (this.rowNamed(name)?.querySelector(`[data-action=${action}]`) ?? this.search).focus();
  }

  async copyReference(name, button) {
    const text = reference(name);
    if (!(await copy(text, this.root))) return this.say({ message: "This browser does not let the panel copy.", hint: `Write ${text}` });
    this.say({ text: `Copied ${text}` });
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy reference"), COPIED_MS);
  }

  reset() {
    this.name.value = "";
    this.value.clear();
    this.say({});
    this.name.focus();
  }

  async add() {
    const name = this.name.value.trim();
    if (this.names?.includes(name) && this.details.get(name)?.own !== false) {
      return this.say({ message: `There is already a secret named ${name}.`, hint: "Its row has Replace." });
    }
    const stored = this.store(name, this.value, false);
    this.name.value = "";
    this.name.focus();
    if (await stored) {
      this.search.value = "";
      this.added = name;
    } else if (!this.name.value) {
      this.name.value = name;
      this.value.focus();
    }
  }

  async store(name, field, replace) {
    const bytes = field.take();
    this.say({});
    const size = bytes.length.toLocaleString("en");
    const answer = bytes.length > MAX_BYTES
      ? { message: `A value of ${size} bytes was not stored.`, hint: `The limit is ${MAX_BYTES.toLocaleString("en")}.` }
      : await this.channel.ask({ op: "set", name, replace }, bytes);
    this.say(answer);
    return answer.op === "done";
  }

  askValue(name) {
    const value = valueField(`New value of ${name}`);
    const save = async () => {
      const stored = this.store(name, value, true);
      if (await stored) this.close();
      else value.focus();
    };
    this.open(name, "replace", makeForm({ className: "fnb-form", "aria-label": `Replace the value of ${name}` }, save, () => this.close(),
      value.element, make("button", { type: "button", onclick: () => this.close() }, "Cancel"),
      make("button", { type: "submit", className: "fnb-primary" }, "Replace")));
    value.focus();
  }

  async askDelete(name) {
    const answer = await this.channel.ask({ op: "used_by", name });
    if (answer.op === "error") return this.say(answer);
    const used = answer.connections;
    const question = `Delete ${name}?` + (used.length ? ` Used by connection${used.length > 1 ? "s" : ""} ${used.join(", ")}.` : "");
    const remove = async () => {
      this.close();
      this.say(await this.channel.ask({ op: "delete", name }));
      this.search.focus();
    };
    const keep = make("button", { type: "button", onclick: () => this.close() }, "Cancel");
    this.open(name, "delete", makeForm({ className: "fnb-form", "aria-label": question }, remove, () => this.close(),
      make("span", { className: "fnb-question" }, question), keep, make("button", { type: "submit", className: "fnb-danger" }, "Delete")));
    keep.focus(); // Enter twice does not delete.
  }

  open(name, action, content) {
    this.detail?.row.remove();
    this.say({});
    const colSpan = [...this.table.tHead.rows[0].cells].filter((cell) => cell.offsetWidth).length;
    this.detail = { name, action, row: make("tr", { className: "fnb-detail" }, make("td", { colSpan }, content)) };
    this.rowNamed(name)?.after(this.detail.row);
  }

  close() {
    if (!this.detail) return;
    const { name, action, row } = this.detail;
    this.detail = null;
    row.remove();
    this.focusAction(name, action);
  }
}

function render({ model, el }) {
  const panel = new Panel(model, el);
  return () => {
    panel.channel.close();
    panel.wizard.clear();
    panel.root.remove();
  };
}

export default { render };
