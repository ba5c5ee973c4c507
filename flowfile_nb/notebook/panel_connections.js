// The tab of connections: the same definitions as `%connect`, which hold references only.

const CONNECTION_HEIGHT = 47; // Until a row has been measured.
const PLACES = { here: "here", project: "project file", Flowfile: "Flowfile", team: "shared", cell: "this kernel" };
const noConnections = () => ["No connections yet. Describe one with New connection, or in a cell: ", make("code", {}, "%%connect NAME --save"), "."];

class ConnectionsTab {
  constructor(panel) {
    this.panel = panel;
    this.title = "Connections";
    this.all = null; // Unknown until the kernel has answered.
    this.byKey = new Map();
    this.trials = new Map(); // What is waited for, by its number: {key, end}.
    this.early = new Map(); // Outcomes that came before the answer with their number.
    this.asked = 0;
    this.build();
  }

  build() {
    this.count = make("span", { className: "fnb-count" });
    this.search = make("input", { type: "search", placeholder: "Search", "aria-label": "Search connections", spellcheck: false });
    this.search.addEventListener("input", () => this.show(0));
    this.add = make("button", { type: "button", className: "fnb-primary", "data-kernel": "", onclick: () => this.edit("", null) }, "New connection");
    this.tools = make("div", { className: "fnb-tools" }, this.count, this.search, this.add);
    this.rows = new Rows({ caption: "Connections; secrets are named, their values are not shown",
      titles: ["Name and target", "Secrets", "Last used", "Kept in"], rowHeight: CONNECTION_HEIGHT, keyOf: ({ key }) => key,
      rowOf: (one) => this.rowOf(one), onDraw: () => {}, onAction: (key, action, button) => this.act(this.byKey.get(key), action, button),
      lost: () => this.search });
    this.empty = make("p", { className: "fnb-empty", hidden: true });
    this.slot = make("div");
    this.formSlot = make("div");
    this.list = make("div", {}, this.rows.element, this.empty);
    this.element = make("div", { className: "fnb-connections" }, this.formSlot, this.slot, this.list);
  }

  async refresh() {
    if (this.asking) return;
    this.asking = true;
    const answer = await this.panel.ask({ op: "connections" });
    this.asking = false;
    if (answer.op === "error") return this.panel.say(answer);
    if (answer.problem) this.panel.say({ message: answer.problem });
    this.receive(answer.rows);
  }

  receive(rows) {
    const before = this.all ?? [];
    const text = (one) => JSON.stringify([one, since(one.used_at)]);
    const same = this.all && before.length === rows.length && before.every(({ key }, index) => key === rows[index].key);
    const old = new Map(before.map((one) => [one.key, one.drawn]));
    this.all = rows;
    this.byKey = new Map(rows.map((one) => [one.key, one]));
    for (const key of [...this.rows.details.keys()]) if (!this.byKey.has(key)) this.rows.close(key);
    const changed = rows.filter((one) => {
      const drawn = text(one);
      one.drawn = drawn;
      return drawn !== old.get(one.key);
    });
    if (!same) return this.show(this.rows.element.scrollTop);
    // Written into the rows that are there, so that the focus stays where it is.
    this.rows.items = this.matching();
    this.rows.write(changed);
  }

  matching() {
    const wanted = this.search.value.trim().toLowerCase();
    const has = ({ shown, kind, target, secrets }) => [shown, kind, target, ...secrets.map(([name]) => name)].join("\n").toLowerCase().includes(wanted);
    return wanted ? this.all.filter(has) : this.all;
  }

  show(top) {
    if (!this.all) return;
    const [matching, wanted] = [this.matching(), this.search.value.trim()];
    this.count.textContent = counted(matching.length, this.all.length, "connection", wanted);
    this.empty.replaceChildren(...(this.all.length ? [`Nothing here contains “${wanted}”.`] : noConnections()));
    this.empty.hidden = matching.length > 0;
    this.rows.table.classList.toggle("fnb-no-secrets", this.all.every(({ secrets }) => !secrets.length));
    this.rows.show(matching, top);
    if (this.rows.reveal(this.added)) this.added = null;
  }

  rowOf({ name, shown, state, pending, kind, target, problem, secrets, used_at, kept, place, also }) {
    const short = target.replace(`${kind}/`, "").replace(/^[\w+.-]+:\/\/(\/(?=.))?/, "") || target; // Its kind stands above it.
    const badge = state ? [make("span", { className: `fnb-badge${state === "open" ? " fnb-open" : ""}` }, state)] : [];
    if (pending) badge.push(make("span", { className: "fnb-badge fnb-lacks", title: "Its owner has to enter its secret again: %secret set NAME --replace" }, pending));
    if (secrets.some(([, missing]) => missing)) badge.push(make("span", { className: "fnb-badge fnb-lacks" }, "secret missing"));
    const title = make("div", { className: "fnb-line" }, make("span", { className: "fnb-title", title: shown }, shown), make("span", { className: "fnb-kind" }, kind), ...badge);
    const where = problem ? make("div", { className: "fnb-line fnb-problem", title: problem }, `cannot be opened: ${problem}`)
      : make("div", { className: "fnb-line fnb-target", title: target }, short);
    const named = secrets.map(([secret, missing]) => make("div", { className: "fnb-secret" }, make("span", { title: secret }, secret),
      ...(missing ? [rowButton("secret", "missing: add", `Add the missing secret ${secret} of ${shown}`)] : [])));
    const button = (action, text, label) => rowButton(action, text, `${label} ${shown}`);
    const actions = make("td", { className: "fnb-actions" });
    if (place !== "cell") {
      if (!problem) actions.append(button("test", "Test", "Test"));
      if (place !== "team") actions.append(button("cell", "Insert", "Insert as cell:"));
    }
    if (place === "here") actions.append(button("edit", "Edit", "Edit"), button("delete", "Delete", "Delete"));
    return make("tr", {}, make("th", { scope: "row" }, title, where), make("td", {}, ...(named.length ? named : ["–"])),
      make("td", {}, age(used_at)), make("td", { title: kept }, PLACES[place] + (also ? `, ${PLACES.project}` : "")), actions);
  }

  act(row, action, button) {
    if (action === "test") this.test(row);
    else if (action === "secret") this.askValue(row, button.previousSibling.textContent);
    else if (action === "cell") this.insert(row);
    else if (action === "edit") this.edit(row.name, row);
    else if (action === "delete") this.askDelete(row);
  }

  // Testing

  async test(row, agreed = "") {
    const { key, name, origin } = row;
    this.giveUp(key);
    this.asked += 1;
    const answer = await this.panel.ask({ op: "test", name, origin, agreed });
    this.asked -= 1;
    if (this.panel.gone) return;
    if (answer.op === "ask") this.askTrust(row, answer);
    else if (answer.op === "testing") this.wait(row, answer);
    else this.tell(key, answer);
    if (!this.asked) this.early.clear();
  }

  /** Say what is waited for and for how long, with a way out. */
  wait(row, { trial, limit_s }) {
    const outcome = this.early.get(trial);
    if (outcome) return this.tell(row.key, outcome);
    const passed = make("span", { className: "fnb-count", "aria-hidden": "true" });
    const start = Date.now();
    const timer = setInterval(() => (passed.textContent = `${Math.round((Date.now() - start) / 1000)} s`), 1000);
    this.trials.set(trial, { key: row.key, end: () => clearInterval(timer) });
    const cancel = make("button", { type: "button", onclick: () => {
      this.giveUp(row.key);
      this.tell(row.key, { text: `Not waited for any longer. A driver that waits cannot be stopped: the attempt ends by itself when its time is up (${limit_s} s, if the description says no other), and changes nothing.`, given_up: true });
    } }, "Cancel");
    this.rows.open(row.key, "test", make("div", { className: "fnb-outcome" }, make("p", { role: "status" }, `Waiting for ${row.target} …`), passed, cancel));
  }

  giveUp(key) {
    for (const [trial, { key: of, end }] of this.trials) {
      if (of !== key) continue;
      end();
      this.trials.delete(trial);
      this.panel.ask({ op: "give_up", trial });
    }
  }

  tested(message) {
    const trial = this.trials.get(message.trial);
    if (!trial && this.asked) this.early.set(message.trial, message);
    if (!trial) return;
    trial.end();
    this.trials.delete(message.trial);
    this.tell(trial.key, message);
  }

  /** Show below a row how its test went. */
  tell(key, { text, message, hint, given_up }) {
    const focused = this.rows.details.get(key)?.row.contains(document.activeElement);
    const said = message ? make("div", { role: "alert" }, make("p", {}, message), make("p", { className: "fnb-hint" }, hint)) : make("p", { role: "status" }, text);
    const close = make("button", { type: "button", className: "fnb-quiet", "aria-label": "Close", onclick: () => this.rows.close(key) }, "✕");
    // What was given up went neither well nor wrong: no tick.
    const how = message ? "fnb-failed" : given_up ? "" : "fnb-well";
    this.rows.open(key, "test", make("div", { className: `fnb-outcome ${how}` }, said, close));
    if (focused) close.focus();
  }

  /** A project's definition is somebody else's: it is read before it gets a secret. */
  askTrust(row, { question, digest }) {
    const cancel = make("button", { type: "button", onclick: () => this.rows.close(row.key) }, "Cancel");
    this.rows.open(row.key, "test", makeForm({ className: "fnb-trust", "aria-label": `Trust ${row.shown}?` }, () => this.test(row, digest), () => this.rows.close(row.key),
      make("pre", {}, question), make("div", { className: "fnb-buttons" }, cancel, make("button", { type: "submit", className: "fnb-danger" }, "Trust and test"))));
    cancel.focus();
  }

  // Changing

  async edit(name, row) {
    const asked = [this.panel.ask({ op: "kinds" }), row && this.panel.ask({ op: "definition", name })];
    const [{ kinds }, there] = await Promise.all(asked);
    if (there?.op === "error") return this.panel.say(there);
    this.panel.say({});
    this.panel.secrets.refresh();
    this.form?.element.remove();
    this.form = new ConnectionForm(this.panel, kinds, name, there, (saved, test) => this.edited(row, saved, test));
    this.formSlot.replaceChildren(this.form.element);
    this.scrolled = this.rows.element.scrollTop;
    this.list.hidden = this.search.hidden = this.add.hidden = true;
    this.form.focus();
  }

  async edited(row, saved, test) {
    this.form = null;
    this.formSlot.replaceChildren();
    this.list.hidden = this.search.hidden = this.add.hidden = false;
    this.show(this.scrolled);
    if (saved) {
      this.search.value = "";
      this.added = row ? null : `here  ${saved}`;
      await this.refresh();
      if (!row) this.show(this.rows.element.scrollTop);
    }
    if (row) this.rows.focusAction(row.key, "edit");
    else this.add.focus();
    const made = this.byKey.get(`here  ${saved}`);
    if (test && made) this.test(made);
  }

  askValue(row, name) {
    const value = valueField(`Value of ${name}`);
    const close = () => (value.clear(), this.rows.close(row.key));
    const save = async () => {
      if (!(await this.panel.secrets.store(name, value, false))) return value.focus();
      close();
      this.refresh();
    };
    this.rows.open(row.key, "secret", makeForm({ className: "fnb-form", "aria-label": `Add secret ${name}` }, save, close, value.element,
      make("button", { type: "button", onclick: close }, "Cancel"), make("button", { type: "submit", className: "fnb-primary" }, "Add secret")));
    value.focus();
  }

  askDelete(row) {
    const question = `Delete the saved connection ${row.shown}? Its secrets stay.`;
    const close = () => this.rows.close(row.key);
    const remove = async () => {
      this.search.focus();
      close();
      this.panel.say(await this.panel.ask({ op: "delete_connection", name: row.name }));
      this.refresh();
    };
    const keep = make("button", { type: "button", onclick: close }, "Cancel");
    this.rows.open(row.key, "delete", makeForm({ className: "fnb-form", "aria-label": question }, remove, close,
      make("span", { className: "fnb-question" }, question), keep, make("button", { type: "submit", className: "fnb-danger" }, "Delete")));
    keep.focus(); // Enter twice does not delete.
  }

  async insert({ name, origin, shown }) {
    const { op, text, view, ...error } = await this.panel.ask({ op: "cell", name, origin });
    if (op === "error") return this.panel.say(error);
    if (insertCell(this.panel.model, view, text)) return this.panel.say({ text: `Inserted a cell with ${shown} below this one. Run it to connect.` });
    if (await copy(text, this.panel.root)) return this.panel.say({ text: "This front end lets no panel insert a cell. The cell is copied: paste it into a new one." });
    this.panel.say({ message: "This browser does not let the panel copy.", hint: `Write  %connect ${shown}` });
  }

  /** The kernel is gone, and with it what was waited for. */
  lose() {
    for (const { key, end } of this.trials.values()) {
      end();
      this.rows.close(key);
    }
    this.trials.clear();
  }
}

/** Put a code cell below the one that shows the widget *view*; return whether this front end lets us: JupyterLab and Notebook do. */
function insertCell(model, view, source) {
  try {
    const notebook = model.widget_manager.context.model.sharedModel;
    const index = notebook.cells.findIndex((cell) => JSON.stringify(cell.outputs ?? []).includes(view));
    notebook.insertCell(index < 0 ? notebook.cells.length : index + 1, { cell_type: "code", source, metadata: { trusted: true } });
    return true;
  } catch {
    return false;
  }
}
