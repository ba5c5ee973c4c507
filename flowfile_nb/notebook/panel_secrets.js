// The tab of secrets. Names come and values go by custom messages only: a notebook saves what is in a synced trait.

const ROW_HEIGHT = 30; // Until a row has been measured.
const COPIED_MS = 1500;
const MAX_BYTES = 512 * 1024; // As core/names.py. A larger message could cost the whole connection to the kernel.
const gettingStarted = () => ["No secrets yet. Add a name and its value above, then write ", make("code", {}, "%secret NAME"),
  " where ", make("code", {}, "%%connect"), " needs the value."];

class SecretsTab {
  /** `panel` is what the tabs have in common: `ask`, `say`, `root`. */
  constructor(panel) {
    this.panel = panel;
    this.title = "Secrets";
    this.names = null; // Unknown until the kernel has answered.
    this.details = new Map(); // What is told of a name, by name; asked for when its row is drawn.
    this.fresh = new Set(); // The names that were asked for since the last list.
    this.matching = [];
    this.added = null; // A name to scroll to, once the list holds it.
    this.asking = false;
    this.build();
  }

  build() {
    this.count = make("span", { className: "fnb-count" });
    this.search = make("input", { type: "search", placeholder: "Search names", "aria-label": "Search secrets by name", spellcheck: false });
    this.search.addEventListener("input", () => this.show(0));
    this.tools = make("div", { className: "fnb-tools" }, this.count, this.search);
    this.name = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
    this.value = valueField("Value");
    this.form = makeForm({ className: "fnb-form", "aria-label": "Add secret" }, () => this.add(), () => this.reset(),
      make("div", { className: "fnb-field" }, make("label", {}, "Name", this.name)), this.value.element,
      make("button", { type: "submit", className: "fnb-primary" }, "Add secret"));
    this.rows = new Rows({ caption: "Secrets; their values are not shown", titles: ["Name", "Owner", "Shared by", "Age", "Last used"],
      rowHeight: ROW_HEIGHT, keyOf: (name) => name, rowOf: (name) => this.rowOf(name), onDraw: () => this.tell(),
      onAction: (name, action, button) => this.act(name, action, button), lost: () => this.search });
    this.empty = make("p", { className: "fnb-empty", hidden: true });
    this.wizard = setupWizard(this.panel);
    this.slot = make("div"); // Where the messages are, while this tab is shown.
    this.element = make("div", { className: "fnb-secrets" }, this.form, this.wizard.element, this.slot, this.rows.element, this.empty);
  }

  /** Ask for the list again when somebody turns to the panel: a cell or Flowfile itself may have changed it. */
  async refresh() {
    if (this.asking) return;
    this.asking = true;
    const answer = await this.panel.ask({ op: "list" });
    this.asking = false;
    if (answer.op === "error") this.panel.say(answer);
    this.setUp(answer.op === "setup");
  }

  /** In a team one column says by whom a secret is shared, and with whom. */
  setTeam(there) {
    this.team = there;
    this.rows.table.tHead.rows[0].cells[2].textContent = there ? "Shared" : "Shared by";
  }

  /** Show the wizard instead of the list, where a master key is missing, or the list instead of the wizard. */
  setUp(needed) {
    if (needed !== this.wizard.element.hidden) return;
    this.wizard.element.hidden = !needed;
    this.form.hidden = this.search.hidden = needed;
    this.count.textContent = needed ? "no master key yet" : this.count.textContent;
    if (needed) this.received = this.rows.element.hidden = this.empty.hidden = true; // Any list that comes is shown again.
    else this.wizard.clear();
  }

  receive(names) {
    this.fresh = new Set();
    const text = names.join("\n"); // No name has a line break.
    if (text === this.received) return this.tell();
    this.received = text;
    const folded = names.map((name) => [name.toLowerCase(), name]);
    this.names = folded.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0)).map(([, name]) => name);
    this.show(this.rows.element.scrollTop);
  }

  /** Ask what is to be told of the rows that are drawn, and write it into those of which it has changed. */
  async tell() {
    const { fresh } = this;
    const names = this.rows.drawn.filter((name) => !fresh.has(name));
    if (!names.length) return;
    names.forEach((name) => fresh.add(name));
    const answer = await this.panel.ask({ op: "describe", names });
    if (answer.op === "error") return this.panel.say(answer);
    const changed = new Set(names);
    const [found, owners, sharers, updates, uses, sharedWith, modes, promises] = answer.columns;
    found.forEach((name, index) => {
      const detail = { owner: owners[index], sharedBy: sharers[index], updated: updates[index], used: uses[index], sharedWith: sharedWith?.[index] ?? "", mode: modes?.[index] ?? "", promises: promises?.[index] ?? "" };
      detail.own = !detail.sharedBy && detail.owner !== "environment";
      detail.ages = [detail.updated, detail.used].map(since); // They go on while nothing else changes.
      if (JSON.stringify(detail) === JSON.stringify(this.details.get(name))) changed.delete(name);
      this.details.set(name, detail);
    });
    // A column that says the same of each secret takes its room from the names.
    const said = [...this.details.values()];
    this.rows.table.classList.toggle("fnb-all-own", said.every(({ own, sharedWith }) => own && !sharedWith));
    this.rows.table.classList.toggle("fnb-unused", said.every(({ used }) => used === null));
    this.rows.write([...changed]);
  }

  /** Draw the secrets whose name has the text of the search in it, scrolled to where *top* pixels are above. */
  show(top) {
    if (!this.names) return;
    const wanted = this.search.value.trim().toLowerCase();
    this.matching = this.names.filter((name) => name.toLowerCase().includes(wanted));
    this.count.textContent = counted(this.matching.length, this.names.length, "secret", wanted);
    this.empty.replaceChildren(...(this.names.length ? [`No name contains “${wanted}”.`] : gettingStarted()));
    this.empty.hidden = this.matching.length > 0;
    this.rows.show(this.matching, top);
    if (this.rows.reveal(this.added)) this.added = null;
  }

  rowOf(name) {
    const { owner, sharedBy, sharedWith, mode, promises, updated, used, own } = this.details.get(name) ?? { updated: null, used: null };
    const shared = !this.team ? sharedBy : [sharedBy !== owner && sharedBy && `by ${sharedBy}`, sharedWith && `with ${sharedWith}`].filter(Boolean).join(" ");
    const badge = mode === "brokered" ? [make("span", { className: "fnb-badge fnb-open", title: "The broker uses it; its value never comes to this kernel" }, mode)] : [];
    const actions = make("td", { className: "fnb-actions" }, rowButton("copy", "Copy reference", `Copy reference to ${name}`));
    if (own) actions.append(rowButton("replace", "Replace", `Replace the value of ${name}`), rowButton("delete", "Delete", `Delete ${name}`));
    return make("tr", {}, make("th", { scope: "row", title: name }, name, ...badge),
      make("td", {}, owner ?? ""), make("td", {}, shared ? make("span", { title: [shared, promises].filter(Boolean).join("\n") }, shared) : "–"), make("td", {}, age(updated)), make("td", {}, age(used)), actions);
  }

  act(name, action, button) {
    if (action === "copy") this.copyReference(name, button);
    else if (action === "replace") this.askValue(name);
    else this.askDelete(name);
  }

  async copyReference(name, button) {
    const text = reference(name);
    if (!(await copy(text, this.panel.root))) return this.panel.say({ message: "This browser does not let the panel copy.", hint: `Write ${text}` });
    this.panel.say({ text: `Copied ${text}` });
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = "Copy reference"), COPIED_MS);
  }

  reset() {
    this.name.value = "";
    this.value.clear();
    this.panel.say({});
    this.name.focus();
  }

  async add() {
    const name = this.name.value.trim();
    if (this.names?.includes(name) && this.details.get(name)?.own !== false) {
      return this.panel.say({ message: `There is already a secret named ${name}.`, hint: "Its row has Replace." });
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
    this.panel.say({});
    const size = bytes.length.toLocaleString("en");
    const answer = bytes.length > MAX_BYTES
      ? { message: `A value of ${size} bytes was not stored.`, hint: `The limit is ${MAX_BYTES.toLocaleString("en")}.` }
      : await this.panel.ask({ op: "set", name, replace }, bytes);
    this.panel.say(answer);
    return answer.op === "done";
  }

  askValue(name) {
    const value = valueField(`New value of ${name}`);
    const save = async () => {
      const stored = this.store(name, value, true);
      if (await stored) this.rows.close(name);
      else value.focus();
    };
    this.open(name, "replace", makeForm({ className: "fnb-form", "aria-label": `Replace the value of ${name}` }, save, () => this.rows.close(name),
      value.element, make("button", { type: "button", onclick: () => this.rows.close(name) }, "Cancel"),
      make("button", { type: "submit", className: "fnb-primary" }, "Replace")));
    value.focus();
  }

  async askDelete(name) {
    const answer = await this.panel.ask({ op: "used_by", name });
    if (answer.op === "error") return this.panel.say(answer);
    const used = answer.connections;
    const question = `Delete ${name}?` + (used.length ? ` Used by connection${used.length > 1 ? "s" : ""} ${used.join(", ")}.` : "");
    const remove = async () => {
      this.rows.close(name);
      this.panel.say(await this.panel.ask({ op: "delete", name }));
      this.search.focus();
    };
    const keep = make("button", { type: "button", onclick: () => this.rows.close(name) }, "Cancel");
    this.open(name, "delete", makeForm({ className: "fnb-form", "aria-label": question }, remove, () => this.rows.close(name),
      make("span", { className: "fnb-question" }, question), keep, make("button", { type: "submit", className: "fnb-danger" }, "Delete")));
    keep.focus(); // Enter twice does not delete.
  }

  open(name, action, content) {
    this.rows.closeAll();
    this.panel.say({});
    this.rows.open(name, action, content);
  }
}
