// The setup wizard: what the panel shows where Flowfile's docker mode waits for a master key. The key is made here, in the
// browser, and stays here: it is in no message to the kernel, in no trait and in no text of the page.

const KEY_BYTES = 32;
const KEY_SHOWN_MS = 10 * 60_000; // A page that is left open forgets it.
const VARIABLE = "FLOWFILE_MASTER_KEY";

/** A Fernet key: 32 random bytes as URL-safe base64, 44 characters. */
function newMasterKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(KEY_BYTES));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

/** The three steps to a master key; `clear` forgets the key. */
function setupWizard(panel) {
  let timer;
  const generate = make("button", { type: "button", className: "fnb-primary" }, "Generate master key");
  const line = make("input", { type: "password", readOnly: true, autocomplete: "off", spellcheck: false, "aria-label": "The line for .env" });
  const copyLine = make("button", { type: "button", className: "fnb-primary" }, "Copy line");
  const show = make("button", { type: "button", "aria-pressed": "false" }, "Show");
  const forget = make("button", { type: "button" }, "Clear");
  const made = make("div", { className: "fnb-key", hidden: true }, line, copyLine, show, forget);
  const reveal = (visible) => {
    line.type = visible ? "text" : "password";
    show.textContent = visible ? "Hide" : "Show";
    show.setAttribute("aria-pressed", String(visible));
  };
  const clear = () => {
    clearTimeout(timer);
    line.value = "";
    reveal(false);
    made.hidden = true;
    generate.hidden = false;
  };
  generate.addEventListener("click", () => {
    line.value = `${VARIABLE}=${newMasterKey()}`;
    made.hidden = false;
    generate.hidden = true;
    timer = setTimeout(clear, KEY_SHOWN_MS);
    panel.say({ text: "A key was made in this browser. It is not kept: copy it now." });
    copyLine.focus();
  });
  copyLine.addEventListener("click", async () => {
    if (await copy(line.value, panel.root)) return panel.say({ text: "Copied. Paste it into .env and into your password manager, then clear it here." });
    reveal(true);
    line.select();
    panel.say({ message: "This browser does not let the panel copy.", hint: "The line is selected: copy it with the keyboard, then clear it here." });
  });
  show.addEventListener("click", () => reveal(line.type === "password"));
  forget.addEventListener("click", () => {
    clear();
    panel.say({ text: "Cleared." });
    generate.focus();
  });
  const code = (text) => make("code", {}, text);
  const step = (title, ...content) => make("li", {}, make("strong", {}, title), make("div", {}, ...content));
  const element = make("section", { className: "fnb-setup", "aria-label": "Set up the master key", hidden: true },
    make("p", {}, "This container has no master key yet. One key encrypts all secrets, and you keep it: without it nobody can open them again."),
    make("ol", {},
      step("Generate the key", generate, made),
      step("Keep it", "Put the line into the ", code(".env"), " file of your container, and a copy into a password manager. Never into a notebook."),
      step("Restart", "Start the container anew, so that ", code(VARIABLE), " is set, restart this kernel, and run ", code("%secret"), " again.")));
  return { element, clear };
}
