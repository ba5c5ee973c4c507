// The tabs of a team: who is in which group, and what is shared with whom. They ask what panel_team.py answers.

const TEAM_HEIGHT = 47; // Until a row has been measured.
const ROLES = ["member", "manager", "owner"];
const MAY = { read: "reads", write: "reads and writes" };

/** A list to choose from. */
function choice(names, chosen) {
  const options = names.map((name) => make("option", { value: name, selected: name === chosen }, name));
  return make("select", {}, ...options);
}

/** What the two tabs have in common: rows that are asked for, a search, and a place below a row for what is done with it. */
class TeamTab {
  constructor(panel, { title, thing, op, columns, className }) {
    Object.assign(this, { panel, title, thing, op });
    this.all = null; // Unknown until the kernel has answered.
    this.count = make("span", { className: "fnb-count" });
    this.search = make("input", { type: "search", placeholder: "Search", "aria-label": `Search ${title.toLowerCase()}`, spellcheck: false });
    this.search.addEventListener("input", () => this.show(0));
    this.rows = new Rows({ caption: title, titles: columns, rowHeight: TEAM_HEIGHT, keyOf: (one) => this.keyOf(one),
      rowOf: (one) => this.rowOf(one), onDraw: () => {}, onAction: (key, action) => this.act(this.named(key), action), lost: () => this.search });
    this.empty = make("p", { className: "fnb-empty", hidden: true });
    this.slot = make("div");
    this.formSlot = make("div");
    this.tools = make("div", { className: "fnb-tools" }, this.count, this.search);
    this.element = make("div", { className: `fnb-team ${className}` }, this.formSlot, this.slot, this.rows.element, this.empty);
  }

  named(key) {
    return this.all.find((one) => this.keyOf(one) === key);
  }

  /** Ask what is there now; only the answer to the last question counts. */
  async refresh() {
    const number = (this.asked = (this.asked ?? 0) + 1);
    const answer = await this.panel.ask({ op: this.op });
    if (number !== this.asked) return;
    if (answer.op === "error") return this.panel.say(answer);
    this.take(answer);
    const text = JSON.stringify(answer);
    if (text === this.received) return;
    this.received = text;
    for (const key of [...this.rows.details.keys()]) if (!this.named(key)) this.rows.close(key);
    this.show(this.rows.element.scrollTop);
  }

  show(top) {
    if (!this.all) return;
    const wanted = this.search.value.trim().toLowerCase();
    const matching = this.all.filter((one) => this.textOf(one).toLowerCase().includes(wanted));
    this.count.textContent = counted(matching.length, this.all.length, this.thing, wanted);
    this.empty.replaceChildren(...(this.all.length ? [`Nothing here contains “${wanted}”.`] : this.nothing()));
    this.empty.hidden = matching.length > 0;
    this.rows.show(matching, top);
  }

  /** Have something done and say how it ended; then what is there now is shown. */
  async perform(question) {
    const answer = await this.panel.ask(question);
    if (answer.op === "done") await this.refresh();
    this.panel.say(answer.op === "confirm" ? {} : answer);
    return answer;
  }

  open(key, action, content) {
    this.rows.closeAll();
    this.panel.say({});
    this.rows.open(key, action, content);
  }

  /** Ask below a row before something is done that cannot be taken back. */
  confirm(key, action, question, text, yes) {
    const cancel = make("button", { type: "button", onclick: () => this.rows.close(key) }, "Cancel");
    const done = async () => {
      await yes();
      this.rows.close(key);
    };
    this.open(key, action, makeForm({ className: "fnb-form", "aria-label": question }, done, () => this.rows.close(key),
      make("span", { className: "fnb-question" }, question), cancel, make("button", { type: "submit", className: "fnb-danger" }, text)));
    cancel.focus(); // Enter twice does not do it.
  }
}

class GroupsTab extends TeamTab {
  constructor(panel) {
    super(panel, { title: "Groups", thing: "group", op: "groups", columns: ["Name", "You are", "Members"], className: "fnb-groups" });
    this.add = make("button", { type: "button", className: "fnb-primary", hidden: true, "data-kernel": "", onclick: () => this.create() }, "New group");
    this.tools.append(this.add);
  }

  take({ me, groups }) {
    this.me = me;
    this.all = groups;
    this.add.hidden = !me.admin; // Only an admin creates groups.
  }

  keyOf({ name }) {
    return name;
  }

  textOf({ name, description, members }) {
    return [name, description, ...members.map((member) => member.name)].join("\n");
  }

  nothing() {
    return ["You are in no group. ", this.me.admin ? "New group creates one." : "An admin of the team creates groups."];
  }

  mayManage({ role }) {
    return this.me.admin || role === "owner" || role === "manager";
  }

  rowOf(group) {
    const { name, description, role, members } = group;
    const actions = make("td", { className: "fnb-actions" }, rowButton("members", "Members", `Members of ${name}`));
    if (role) actions.append(rowButton("leave", "Leave", `Leave ${name}`));
    if (this.me.admin || role === "owner") actions.append(rowButton("delete", "Delete", `Delete ${name}`));
    const said = members.map((one) => one.name).join(", ");
    return make("tr", {}, make("th", { scope: "row" }, make("div", { className: "fnb-line fnb-title", title: name }, name),
      make("div", { className: "fnb-line fnb-target", title: description }, description)),
      make("td", {}, role || "–"), make("td", { title: said }, `${members.length}: ${said}`), actions);
  }

  act(group, action) {
    const { name } = group;
    if (action === "members") this.showMembers(group);
    else if (action === "leave") {
      this.confirm(name, action, `Leave ${name}? You cannot use what is shared with it then.`, "Leave", () => this.perform({ op: "leave_group", group: name }));
    } else {
      this.confirm(name, action, `Delete ${name}? All that is shared with it is not shared any more.`, "Delete", () => this.perform({ op: "delete_group", group: name }));
    }
  }

  showMembers(group) {
    const { name } = group;
    const change = async (question) => {
      const answer = await this.perform({ ...question, group: name });
      const now = this.named(name);
      if (!now || !this.rows.details.has(name)) return;
      this.showMembers(now);
      this.panel.say(answer);
    };
    const may = this.mayManage(group);
    const lines = group.members.map((member) => {
      const roles = choice(ROLES, member.role);
      Object.assign(roles, { ariaLabel: `Role of ${member.name}`, disabled: !may, onchange: () => change({ op: "set_member", user: member.name, role: roles.value }) });
      const out = make("button", { type: "button", className: "fnb-quiet", "data-kernel": "", "aria-label": `Remove ${member.name}`,
        onclick: () => change({ op: "remove_member", user: member.name }) }, "Remove");
      return make("li", {}, make("span", { className: "fnb-code" }, member.name), roles, ...(may && member.name !== this.me.name ? [out] : []));
    });
    const user = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
    const role = choice(ROLES, "member");
    const add = makeForm({ className: "fnb-form", "aria-label": `Add to ${name}` }, () => change({ op: "set_member", user: user.value.trim(), role: role.value }),
      () => this.rows.close(name), labelled("User", user), labelled("Role", role), make("button", { type: "submit", className: "fnb-primary" }, "Add to group"));
    const close = make("div", { className: "fnb-buttons" }, make("button", { type: "button", onclick: () => this.rows.close(name) }, "Close"));
    this.open(name, "members", make("div", {}, make("ul", { className: "fnb-members" }, ...lines), ...(may ? [add] : []), close));
  }

  create() {
    const name = make("input", { type: "text", required: true, autocomplete: "off", spellcheck: false, autocapitalize: "off" });
    const description = make("input", { type: "text", autocomplete: "off" });
    const close = () => (this.formSlot.replaceChildren(), this.add.focus());
    const save = async () => {
      const answer = await this.perform({ op: "create_group", group: name.value.trim(), description: description.value.trim() });
      if (answer.op !== "done") return name.focus();
      close();
      this.rows.reveal(name.value.trim());
    };
    this.panel.say({});
    this.formSlot.replaceChildren(makeForm({ className: "fnb-form", "aria-label": "New group" }, save, close, labelled("Name", name),
      labelled("What it is for", description), make("button", { type: "button", onclick: close }, "Cancel"),
      make("button", { type: "submit", className: "fnb-primary" }, "Create group")));
    name.focus();
  }
}

class SharingTab extends TeamTab {
  constructor(panel) {
    super(panel, { title: "Sharing", thing: "item", op: "sharing", columns: ["Name and target", "Shared", "Mode"], className: "fnb-sharing" });
  }

  take({ own, shared, groups }) {
    this.groups = groups;
    this.all = [...own.map((one) => ({ ...one, own: true })), ...shared.map((one) => ({ ...one, own: false }))];
  }

  keyOf({ what, name, own }) {
    return `${what} ${own} ${name}`;
  }

  textOf({ what, name, places, shares, groups, owner }) {
    return [what, name, ...places, owner ?? "", ...(groups ?? shares.map(({ group }) => group))].join("\n");
  }

  nothing() {
    return ["Nothing of yours is at the broker yet, and nothing is shared with you."];
  }

  rowOf(one) {
    const { what, name, places, shares, own, owner, groups, access, promises } = one;
    const title = make("div", { className: "fnb-line" }, make("span", { className: "fnb-title", title: name }, name), make("span", { className: "fnb-kind" }, what));
    const where = places.join(", ");
    const target = make("div", { className: "fnb-line fnb-target", title: where }, where || "no target yet: save a connection that uses it");
    const lines = own ? shares.map((share) => `with ${share.group}, ${share.permission === "manage" ? "manages, " : ""}${MAY[share.access]}`)
      : [`by ${owner}${groups.length ? ` with ${groups.join(", ")}` : ""}${access ? `, ${MAY[access]}` : ""}`];
    const shared = make("td", {}, ...(lines.length ? lines.map((line) => make("div", { className: "fnb-line", title: [line, promises].filter(Boolean).join("\n") }, line)) : ["–"]));
    const mode = own ? "in this kernel" : "brokered";
    const badge = make("span", { className: `fnb-badge${own ? "" : " fnb-open"}`, title: own ? "Its value comes to this kernel when you use it" : "The broker uses it; its value never comes to this kernel" }, mode);
    const actions = make("td", { className: "fnb-actions" });
    if (own) actions.append(rowButton("share", shares.length ? "Change" : "Share", `Share ${what} ${name}`));
    return make("tr", {}, make("th", { scope: "row" }, title, target), shared, make("td", {}, badge), actions);
  }

  act(one) {
    this.showShares(one);
  }

  showShares(one) {
    const key = this.keyOf(one);
    const { what, name } = one;
    const close = () => this.rows.close(key);
    const again = (answer) => {
      const now = this.named(key);
      if (answer.op !== "done" || !now || !this.rows.details.has(key)) return;
      this.showShares(now);
      this.panel.say(answer);
    };
    const lines = one.shares.map((share) => {
      const end = make("button", { type: "button", className: "fnb-quiet", "data-kernel": "", "aria-label": `End sharing with ${share.group}`,
        onclick: async () => again(await this.perform({ op: "unshare", what, name, group: share.group })) }, "End");
      return make("li", {}, make("span", { className: "fnb-code" }, share.group), make("span", {}, `${share.permission === "manage" ? "manages, " : ""}${MAY[share.access]}`), end);
    });
    const rest = this.groups.filter((group) => !one.shares.some((share) => share.group === group));
    const group = choice(rest, rest[0]);
    const access = make("select", {}, make("option", { value: "read" }, "read"), make("option", { value: "write" }, "read and write"));
    const manage = make("input", { type: "checkbox" });
    const question = (confirmed) => ({ op: "share", what, name, group: group.value, permission: manage.checked ? "manage" : "use", access: access.value, confirmed });
    const warning = make("div", { className: "fnb-warning", role: "alert", hidden: true });
    const save = async () => {
      const answer = await this.perform(question(false));
      if (answer.op === "confirm") this.warn(warning, answer.text, async () => again(await this.perform(question(true))));
      else again(answer);
    };
    const more = what === "connection" ? [make("label", { className: "fnb-check" }, manage, "may change and delete it")] : [];
    const form = makeForm({ className: "fnb-form", "aria-label": `Share ${name}` }, save, close, labelled("Group", group), labelled("May", access), ...more,
      make("button", { type: "submit", className: "fnb-primary" }, "Share"));
    const none = make("p", {}, this.groups.length ? `${name} is shared with each of your groups.` : "You are in no group that it could be shared with.");
    this.open(key, "share", make("div", {}, make("ul", { className: "fnb-members" }, ...lines), rest.length ? form : none, warning,
      make("div", { className: "fnb-buttons" }, make("button", { type: "button", onclick: close }, "Close"))));
    (rest.length ? group : this.search).focus();
  }

  /** Say what cannot be promised of a share that may write, and share only after a yes. */
  warn(place, text, yes) {
    const keep = make("button", { type: "button", onclick: () => (place.hidden = true) }, "Do not share");
    place.replaceChildren(make("p", {}, text), make("div", { className: "fnb-buttons" }, keep,
      make("button", { type: "button", className: "fnb-danger", "data-kernel": "", onclick: yes }, "Share for writing all the same")));
    place.hidden = false;
    keep.focus();
  }
}
