// The form for a connection, new or saved. What is typed as a secret's value is stored first, and by itself.

const AS_TEXT = "\n"; // What no kind is called.
const TEXT_EXAMPLE = "postgresql://app:${secret:NAME}@db.example.com:5432/sales";
const MORE_EXAMPLE = 'sslrootcert = "/etc/ssl/ca.pem"\n\n[connect_args]\napplication_name = "notebook"';

class ConnectionForm {
  /** `there` is the connection as the kernel tells it, or null for a new one; `done(name, test)` is called when it is over. */
  constructor(panel, kinds, name, there, done) {
    Object.assign(this, { panel, done, there, fields: [], busy: false });
    const title = there ? `Edit ${name}` : "New connection";
    this.name = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off", value: name,
      placeholder: "warehouse", readOnly: Boolean(there) });
    const kind = there ? (there.kind ?? AS_TEXT) : "postgresql";
    const option = (value, text = value) => make("option", { value }, text);
    this.kind = make("select", {}, ...[...new Set([...kinds, ...(kind === AS_TEXT ? [] : [kind])])].map((one) => option(one)), option(AS_TEXT, "any, as URL or TOML"));
    this.kind.value = kind;
    this.kind.addEventListener("change", () => this.useKind());
    this.grid = make("div", { className: "fnb-grid" });
    this.text = make("textarea", { rows: 6, spellcheck: false, autocomplete: "off", className: "fnb-code", placeholder: TEXT_EXAMPLE, value: there?.text ?? "" });
    this.more = make("textarea", { rows: 4, spellcheck: false, autocomplete: "off", className: "fnb-code", placeholder: MORE_EXAMPLE, value: there?.more ?? "" });
    this.options = make("details", { open: Boolean(there?.more) }, make("summary", {}, "Further options, as TOML"),
      this.more);
    this.more.setAttribute("aria-label", "Further options, as TOML");
    const cancel = make("button", { type: "button", onclick: () => this.close() }, "Cancel");
    this.description = labelled("Description, as in a cell below %%connect", this.text);
    this.doubt = make("div");
    this.element = makeForm({ className: "fnb-connection", "aria-label": title }, (button) => this.save(button?.value === "test"), () => cancel.focus(),
      make("h3", {}, title), make("div", { className: "fnb-grid" }, labelled("Name", this.name), labelled("Kind", this.kind)),
      this.grid, this.options, this.description, this.doubt,
      make("div", { className: "fnb-buttons" }, cancel, make("button", { type: "submit", value: "test" }, "Save and test"),
        make("button", { type: "submit", className: "fnb-primary" }, "Save")));
    // Enter in a field saves; the first button of a form is what it presses.
    this.element.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !event.target.matches("input:not([type=button])")) return;
      event.preventDefault();
      this.element.requestSubmit(this.element.querySelector(".fnb-primary"));
    });
    this.values = { ...there?.values };
    this.secrets = { ...there?.secrets };
    this.useKind();
  }

  focus() {
    (this.name.readOnly ? this.grid.querySelector("input, select") ?? this.text : this.name).focus();
  }

  /** Draw the fields of the kind that is chosen; what was typed in one of the same name is kept. */
  async useKind() {
    const kind = this.kind.value;
    const asText = kind === AS_TEXT;
    this.description.hidden = !asText;
    this.text.required = asText;
    this.grid.hidden = this.options.hidden = asText;
    const answer = asText ? { keys: [] } : await this.panel.ask({ op: "keys", kind });
    if (answer.op === "error") return this.panel.say(answer);
    if (kind !== this.kind.value) return; // Another was chosen meanwhile.
    this.keep(); // Now, with what was typed while the kernel was asked.
    const suggestion = (key) => () => `${this.name.value.trim() || "my"}_${key.name}`;
    this.fields = answer.keys.map((key) => key.secret
      ? secretField(key, this.secrets[key.name], this.panel.secrets, suggestion(key)) : plainField(key, this.values[key.name]));
    this.grid.replaceChildren(...this.fields.map(({ element }) => element));
    for (const { field } of this.fields) field.addEventListener("change", () => this.showMeant());
    this.showMeant();
  }

  /** Hide the fields that mean nothing beside what is chosen in another. */
  showMeant() {
    const value = (name) => this.fields.find(({ key }) => key.name === name)?.value ?? "";
    for (const { key, element, field } of this.fields) {
      element.hidden = key.when !== null && !key.when[1].includes(value(key.when[0]));
      field.disabled = element.hidden;
    }
  }

  keep() {
    for (const { key, value } of this.fields) (key.secret ? this.secrets : this.values)[key.name] = value;
    for (const { clear } of this.fields) clear?.();
  }

  async save(test, agreed = []) {
    if (this.busy) return;
    this.busy = true;
    this.doubt.replaceChildren();
    const saved = await this.send(test, agreed);
    this.busy = false;
    if (saved) this.done(this.name.value.trim(), test);
  }

  async send(test, agreed) {
    const values = {};
    const secrets = {};
    for (const field of this.fields.filter(({ element }) => !element.hidden)) {
      const value = field.settle ? await field.settle() : field.value;
      if (value === null) return false;
      (field.settle ? secrets : values)[field.key.name] = value;
    }
    const kind = this.kind.value;
    const said = kind === AS_TEXT ? { text: this.text.value } : { kind, values, secrets, more: this.more.value };
    const answer = await this.panel.ask({ op: "save_connection", name: this.name.value.trim(), replace: Boolean(this.there), agreed, ...said });
    if (answer.op === "ask") this.askAbout(answer, test);
    else this.panel.say(answer);
    return answer.op === "done";
  }

  /** A key that nobody here knows may be a typing mistake, or an option that only the driver knows. */
  askAbout({ question, agreed }, test) {
    this.panel.say({});
    const anyway = make("button", { type: "button", onclick: () => this.save(test, agreed) }, "Save all the same");
    this.doubt.replaceChildren(make("div", { className: "fnb-outcome" }, make("p", { role: "alert" }, question), anyway));
    anyway.focus();
  }

  close() {
    this.keep(); // Clears what was typed as a value.
    this.panel.say({});
    this.done(null, false);
  }
}
