// The panel itself: its tabs, what it says, and whether its kernel is there.

const WAITING = "Waiting for the kernel: it is running a cell, or is not there.";
const RESTARTED = "The kernel was restarted: run the cell again. What is typed here stays, and was not sent.";

class Panel {
  constructor(model, el) {
    this.model = model;
    this.live = false; // Until the kernel has answered.
    this.gone = false;
    this.said = messages();
    this.secrets = new SecretsTab(this);
    this.connections = new ConnectionsTab(this);
    this.team = [new GroupsTab(this), new SharingTab(this)];
    this.build();
    this.channel = openChannel(model,
      { list: ({ names, team }) => (this.setTeam(team), this.secrets.receive(names)), changed: () => this.refresh(), tested: (message) => this.connections.tested(message) },
      (silent) => this.gone || this.said.wait(silent ? WAITING : ""), () => this.setLive(true));
    // Where the kernel was restarted, what it knew of this panel is gone. Where it was not, it answers.
    this.onLive = () => this.checkLive();
    model.on("comm_live_update", this.onLive);
    el.append(this.root);
    this.select(this.secrets);
  }

  build() {
    const id = `fnb-${Math.random().toString(36).slice(2)}`;
    this.tabs = [this.secrets, this.connections, ...this.team];
    for (const [index, tab] of this.tabs.entries()) {
      const [button, panel] = [`${id}-tab-${index}`, `${id}-panel-${index}`];
      tab.tab = make("button", { type: "button", role: "tab", id: button, className: "fnb-tab", "aria-controls": panel, onclick: () => this.select(tab) }, tab.title);
      Object.assign(tab.element, { id: panel, role: "tabpanel" });
      tab.element.setAttribute("aria-labelledby", button);
    }
    const list = make("div", { role: "tablist", className: "fnb-tabs", "aria-label": "What is shown" }, ...this.tabs.map(({ tab }) => tab));
    list.addEventListener("keydown", (event) => this.move(event));
    this.root = make("section", { className: "fnb-panel", "aria-label": "Secrets and connections", "data-lm-suppress-shortcuts": "true" },
      make("header", {}, list, ...this.tabs.map(({ tools }) => tools)), ...this.tabs.map(({ element }) => element));
    // A notebook would take `d d` for "delete this cell", and Enter on a button for "edit it".
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
    this.root.addEventListener("mouseenter", () => this.shown.refresh());
    this.root.addEventListener("focusin", (event) => this.root.contains(event.relatedTarget) || this.shown.refresh());
    this.setTeam(false);
    this.setLive(false);
  }

  /** Show the tabs of a team where there is one. */
  setTeam(there) {
    for (const { tab } of this.team) tab.hidden = !there;
    this.secrets.setTeam(there);
  }

  select(tab) {
    if (this.shown) this.shown.top = this.shown.rows.element.scrollTop;
    this.shown = tab;
    for (const each of this.tabs) {
      const here = each === tab;
      each.element.hidden = each.tools.hidden = !here;
      each.tab.setAttribute("aria-selected", String(here));
      each.tab.tabIndex = here ? 0 : -1;
    }
    this.say({});
    tab.slot.append(this.said.element);
    tab.show(tab.top ?? 0);
    tab.refresh();
  }

  move(event) {
    const tabs = this.tabs.filter(({ tab }) => !tab.hidden);
    const at = tabs.indexOf(this.shown);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const tab = tabs.at(to % tabs.length);
    this.select(tab);
    tab.tab.focus();
  }

  refresh() {
    this.secrets.refresh();
    for (const tab of [this.connections, ...this.team]) if (tab.all) tab.refresh();
  }

  say(said) {
    this.said.say(said);
  }

  /** Ask the kernel; where it is gone, that is said already. */
  ask(question, value) {
    return this.gone ? Promise.resolve(NO_ANSWER) : this.channel.ask(question, value);
  }

  setLive(live) {
    if (live && this.live) return;
    this.live = live;
    if (live) this.gone = false;
    for (const button of this.root.querySelectorAll("[type=submit], [data-kernel], [data-action]:not([data-action=copy])")) button.disabled = !live;
  }

  checkLive() {
    this.channel.forget();
    this.gone = true;
    this.setLive(false);
    this.said.wait(RESTARTED);
    this.connections.lose();
    this.channel.ask({ op: "list" });
  }

  close() {
    this.channel.close();
    this.model.off("comm_live_update", this.onLive);
    this.secrets.wizard.clear();
    this.root.remove();
  }
}

function render({ model, el }) {
  const panel = new Panel(model, el);
  return () => panel.close();
}

export default { render };
