// A table of any number of rows in a scrolled box, of which only those near the view are in the page.

const FEW_ROWS = 100; // How many are drawn at once; more follow as one scrolls.

class Rows {
  /** `keyOf(item)` is what a row is known by, `rowOf(item)` draws it; `onDraw(items)` is told what is drawn, `onAction(key,
   *  action, button)` which of its buttons was pressed, and `lost()` is focused where a row with the focus is gone. */
  constructor({ caption, titles, rowHeight, keyOf, rowOf, onDraw, onAction, lost }) {
    Object.assign(this, { rowHeight, keyOf, rowOf, onDraw, onAction, lost });
    this.items = [];
    this.first = this.end = 0;
    this.details = new Map(); // What is open below a row, by the row's key.
    this.body = make("tbody");
    this.above = make("td"); // As high as the rows that are not drawn, so that the scroll bar is true.
    this.below = make("td");
    const space = (cell) => make("tbody", { className: "fnb-space", "aria-hidden": "true" }, make("tr", {}, cell));
    const columns = titles.map((title) => make("th", { scope: "col" }, title));
    const actions = make("th", { scope: "col" }, make("span", { className: "fnb-hidden" }, "Actions"));
    this.table = make("table", {}, make("caption", { className: "fnb-hidden" }, caption),
      make("thead", {}, make("tr", {}, ...columns, actions)), space(this.above), this.body, space(this.below));
    this.element = make("div", { className: "fnb-scroll", hidden: true }, this.table);
    this.element.addEventListener("scroll", () => this.drawView(), { passive: true });
    this.body.addEventListener("click", (event) => this.act(event.target.closest("button[data-action]")));
    this.body.addEventListener("keydown", (event) => this.move(event));
  }

  get drawn() {
    return this.items.slice(this.first, this.end);
  }

  /** Draw these items and no others, scrolled to where *top* pixels are above. */
  show(items, top) {
    this.items = items;
    this.table.setAttribute("aria-rowcount", items.length + 1);
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    const selection = focused?.selectionStart ?? null;
    this.element.hidden = !items.length;
    this.drawAround(Math.floor(top / this.rowHeight));
    this.element.scrollTop = top;
    if (!focused) return;
    // The rows are new elements, but what is open below one has been moved over with what is typed in it.
    if (focused.isConnected) focused.focus({ preventScroll: true });
    else if (focused.dataset.action) this.focusAction(focused.closest("tr").dataset.key, focused.dataset.action);
    if (selection !== null && focused.isConnected) focused.setSelectionRange?.(selection, focused.selectionEnd);
  }

  /** Draw some rows round the one with this number, and no others. */
  drawAround(index) {
    this.first = Math.max(0, Math.min(index - FEW_ROWS / 2, this.items.length - FEW_ROWS));
    this.end = Math.min(this.first + FEW_ROWS, this.items.length);
    this.body.replaceChildren(...this.rows(this.first, this.end));
    this.rowHeight = this.body.rows[0]?.getBoundingClientRect().height || this.rowHeight;
    this.keepSpace();
  }

  /** Draw what has come near the view; a leap draws only where it ends. */
  drawView() {
    const { scrollTop, clientHeight } = this.element;
    const [from, to] = [scrollTop - clientHeight, scrollTop + 2 * clientHeight].map((top) => Math.floor(top / this.rowHeight));
    if (from > this.end || to < this.first) return this.drawAround(Math.floor(scrollTop / this.rowHeight));
    const [first, end] = [Math.max(0, this.first - FEW_ROWS), Math.min(this.end + FEW_ROWS, this.items.length)];
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
    return this.items.slice(from, to).flatMap((item, index) => {
      const row = this.draw(item);
      row.setAttribute("aria-rowindex", from + index + 2);
      const detail = this.details.get(row.dataset.key);
      return detail ? [row, detail.row] : [row];
    });
  }

  draw(item) {
    const row = this.rowOf(item);
    row.dataset.key = this.keyOf(item);
    return row;
  }

  keepSpace() {
    this.onDraw(this.drawn);
    this.above.style.height = `${this.first * this.rowHeight}px`;
    this.below.style.height = `${(this.items.length - this.end) * this.rowHeight}px`;
  }

  /** Write into the rows of these items what is to be told of them now; none is replaced, as one of them may have the focus. */
  write(items) {
    const anew = new Map(items.map((item) => [this.keyOf(item), item]));
    for (const row of [...this.body.rows].filter((row) => anew.has(row.dataset.key))) {
      const drawn = this.draw(anew.get(row.dataset.key));
      [...drawn.cells].forEach((cell, index) => {
        const there = row.cells[index];
        if (!cell.matches(".fnb-actions")) there.replaceChildren(...cell.childNodes);
        else this.writeActions(there, cell);
      });
    }
  }

  writeActions(there, cell) {
    const actions = (one) => [...one.children].map((button) => button.dataset.action);
    if (String(actions(there)) === String(actions(cell))) return;
    for (const button of [...there.children]) if (!actions(cell).includes(button.dataset.action)) button.remove();
    const kept = actions(there);
    // Those that stay keep their place, so that the focus stays where it is.
    [...cell.children].forEach((button, index) => kept.includes(button.dataset.action) || there.insertBefore(button, there.children[index] ?? null));
  }

  rowWith(key) {
    return [...this.body.rows].find((row) => row.dataset.key === key);
  }

  /** Scroll to a row and make it stand out for a moment; return whether it is there. */
  reveal(key) {
    const index = this.items.findIndex((item) => this.keyOf(item) === key);
    if (index < 0) return false;
    if (index < this.first || index >= this.end) this.drawAround(index);
    const row = this.rowWith(key);
    row.classList.add("fnb-added");
    this.element.scrollTop = row.offsetTop - this.element.clientHeight / 2;
    return true;
  }

  act(button) {
    if (button) this.onAction(button.closest("tr").dataset.key, button.dataset.action, button);
  }

  /** Arrow keys go from row to row, so that the Tab key is not the only way through a thousand of them. */
  move(event) {
    const [next, action] = [{ ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key], event.target.dataset.action];
    if (!next || !action) return;
    event.preventDefault();
    let row = event.target.closest("tr")[next];
    while (row && !row.querySelector("[data-action]")) row = row[next];
    (row?.querySelector(`[data-action=${action}]`) ?? row?.querySelector("[data-action]"))?.focus();
  }

  focusAction(key, action) {
    const row = this.rowWith(key);
    (row?.querySelector(`[data-action=${action}]`) ?? row?.querySelector("[data-action]") ?? this.lost()).focus();
  }

  /** Open something below a row, in place of what was open there. */
  open(key, action, content) {
    this.details.get(key)?.row.remove();
    const colSpan = [...this.table.tHead.rows[0].cells].filter((cell) => cell.offsetWidth).length || 1;
    const row = make("tr", { className: "fnb-detail" }, make("td", { colSpan }, content));
    this.details.set(key, { action, row });
    this.rowWith(key)?.after(row);
    row.scrollIntoView?.({ block: "nearest" });
  }

  /** Close what is open below a row; the focus goes to the button that had opened it, if it was in there. */
  close(key) {
    const detail = this.details.get(key);
    if (!detail) return;
    const focused = detail.row.contains(document.activeElement);
    this.details.delete(key);
    detail.row.remove();
    if (focused) this.focusAction(key, detail.action);
  }

  closeAll() {
    for (const key of [...this.details.keys()]) this.close(key);
  }
}
