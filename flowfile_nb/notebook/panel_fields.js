// The fields of the form for a connection: one for each key that its kind declares.

const NEW_SECRET = "\n"; // What no name can be.

/** A labelled field for text, a number or a choice. */
function plainField(key, value = "") {
  const choices = [...new Set(["", ...key.choices, value])];
  const field = key.choices.length
    ? make("select", {}, ...choices.map((choice) => make("option", { value: choice }, choice || "default")))
    : make("input", { type: "text", placeholder: key.example, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
  if (key.number) field.inputMode = "numeric";
  field.required = key.required;
  field.value = value;
  return { key, element: labelled(key.label, field), field, get value() { return field.value.trim(); } };
}

/** A labelled list of the secrets, with an entry to add one on the spot: `settle` stores that, and returns the name that is
 *  chosen, or null where it could not be stored. */
function secretField(key, chosen, secrets, suggestion) {
  const field = make("select", {});
  const name = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
  const fields = make("div", { className: "fnb-new-secret", hidden: true });
  let value;
  const list = (selected) => {
    const names = secrets.names ?? [];
    const missing = selected && selected !== NEW_SECRET && !names.includes(selected);
    const option = (text, of = text) => make("option", { value: of }, text);
    field.replaceChildren(option("none", ""), option("New secret…", NEW_SECRET), ...(missing ? [option(`${selected} (missing)`, selected)] : []),
      ...names.map((one) => option(one)));
    field.value = selected;
  };
  const change = () => {
    value?.clear();
    const adding = field.value === NEW_SECRET;
    fields.hidden = !adding;
    if (!adding) return fields.replaceChildren();
    name.value ||= suggestion();
    value = valueField("Its value");
    fields.replaceChildren(labelled("Name of the new secret", name), value.element);
    name.select();
    name.focus();
  };
  field.addEventListener("change", change);
  list(chosen ?? "");
  const settle = async () => {
    if (field.value !== NEW_SECRET) return field.value;
    const text = name.value.trim();
    if (secrets.names?.includes(text)) {
      secrets.panel.say({ message: `There is already a secret named ${text}.`, hint: "Choose it in the list, or give another name." });
      return null;
    }
    if (!(await secrets.store(text, value, false))) {
      value.focus();
      return null;
    }
    list(text);
    change();
    return text;
  };
  const element = labelled(key.label, field);
  element.append(fields);
  // A secret that came meanwhile is in the list when one turns to it.
  field.addEventListener("focus", () => field.options.length - 2 === (secrets.names ?? []).length || list(field.value));
  return { key, element, field, settle, get value() { return field.value === NEW_SECRET ? "" : field.value; }, clear: () => value?.clear() };
}
