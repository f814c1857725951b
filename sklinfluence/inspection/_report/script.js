"use strict";
(() => {
  const $ = (selector, root = document) => root.querySelector(selector);
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, properties) => Object.assign(document.createElement(tag), properties);
  const say = (text) => { $("#say").textContent = text; };
  // {key, file, labels: [{text, plain}] or null for numbers, rows: [[row, given, suggested]]}
  const data = JSON.parse($("#data").textContent);
  const body = $("#list tbody");
  const lines = $$("tr", body);
  const known = new Map(data.rows.map((row) => [String(row[0]), row]));
  const WORDS = new Map([["wrong", "✕ wrong"], ["right", "✓ right"], ["unsure", "? unsure"]]);
  const KEYS = new Map([["1", "wrong"], ["2", "right"], ["3", "unsure"]]);
  const verdicts = new Map(); // row → [word, new label: a class's number, or a text]
  document.documentElement.classList.add("js");

  // Storage. In a sandboxed frame the property itself throws when it is read.
  let store, isUnsaved;
  const warn = () => { $("#nostore").hidden = false; };
  try {
    localStorage.setItem("sklinfluence-try", "");
    localStorage.removeItem("sklinfluence-try");
    store = localStorage;
  } catch { warn(); }
  const isCode = (label) => Number.isInteger(label) && label in data.labels;
  const isVerdict = ([row, [word, label]]) =>
    known.has(row) && WORDS.has(word) && (label === "" || (data.labels ? isCode(label) : isFinite(label)));
  function load(text) {
    verdicts.clear();
    try {
      for (const entry of JSON.parse(text || "[]").filter(isVerdict)) verdicts.set(...entry);
    } catch { /* not ours, or cut short: start anew */ }
  }
  function save() {
    isUnsaved = true;
    try { store?.setItem(data.key, JSON.stringify([...verdicts])); } catch { warn(); }
  }
  if (store) load(store.getItem(data.key));
  const follow = () => { load(store.getItem(data.key)); repaint(); };
  addEventListener("storage", ({ key }) => { if (key === data.key) follow(); });
  addEventListener("beforeunload", (event) => { if (isUnsaved && !store) event.preventDefault(); });

  // Verdicts: controls exist only where they work.
  function addButtons(line) {
    const ariaLabel = `Verdict on row ${line.dataset.row}`;
    const group = make("div", { className: "marks", role: "group", ariaLabel });
    for (const [value, textContent] of WORDS)
      group.append(make("button", { type: "button", value, textContent, tabIndex: -1 }));
    $(".mark", line).append(group);
    line.tabIndex = -1;
  }
  function newField() {
    if (!data.labels) return make("input", { type: "number", step: "any" });
    const options = data.labels.map((label, code) => new Option(label.plain, code));
    // Where an empty text is a class, it cannot mean that none is right.
    if (!data.labels.some((label) => label.text === "")) options.push(new Option("none of these", ""));
    const select = make("select", {});
    options.forEach((option) => select.add(option));
    return select;
  }
  function paint(line) {
    const verdict = verdicts.get(line.dataset.row);
    for (const button of $$(".marks button", line))
      button.setAttribute("aria-pressed", verdict?.[0] === button.value);
    const isWrong = verdict?.[0] === "wrong";
    if (!isWrong) $(".new", line)?.remove();
    else if (!$(".new", line)) {
      const correct = make("label", { className: "new" });
      correct.append(data.labels ? "correct label " : "correct value ", newField());
      $(".mark", line).append(correct);
    }
    if (isWrong) $(".new select, .new input", line).value = verdict[1];
  }
  function judge(line, word) {
    const { row } = line.dataset;
    if (!word || verdicts.get(row)?.[0] === word) verdicts.delete(row);
    else verdicts.set(row, [word, word === "wrong" ? known.get(row)[2] : ""]);
    paint(line);
    save();
    count();
    say(`Row ${row}: ${verdicts.get(row)?.[0] ?? "no verdict"}`);
  }
  const repaint = () => { lines.forEach(paint); count(); };
  const isShown = (line) => !line.classList.contains("cut");
  const shown = () => $$("tr", body).filter(isShown);
  function count() {
    const words = [...verdicts.values()].map((verdict) => verdict[0]);
    const counts = [...WORDS.keys()].map((word) => `${words.filter((w) => w === word).length} ${word}`);
    return $("#count").textContent =
      `${shown().length} of ${lines.length} shown · ${words.length} reviewed: ${counts.join(", ")}`;
  }

  // Moving about: one row at a time can be reached by Tab, with its buttons.
  let current = null;
  function makeCurrent(line) {
    for (const [of, tabIndex] of [[current, -1], [line, 0]])
      if (of) [of, ...$$(".marks button", of)].forEach((part) => { part.tabIndex = tabIndex; });
    current = line;
  }
  function focus(line) {
    line?.focus({ preventScroll: true });
    line?.scrollIntoView({ block: "nearest", behavior: "instant" });
  }
  const step = (by) => focus(shown()[Math.max(0, shown().indexOf(current) + by)]);
  const MOVES = new Map([
    ["j", () => step(1)], ["ArrowDown", () => step(1)], ["Home", () => focus(shown()[0])],
    ["k", () => step(-1)], ["ArrowUp", () => step(-1)], ["End", () => focus(shown().at(-1))],
  ]);
  body.addEventListener("focusin", (event) => makeCurrent(event.target.closest("tr")));
  body.addEventListener("click", ({ target }) => {
    if (target.matches(".marks button")) judge(target.closest("tr"), target.value);
  });
  body.addEventListener("change", ({ target }) => {
    const isClass = data.labels && target.value !== "";
    const label = isClass ? Number(target.value) : target.value;
    verdicts.set(target.closest("tr").dataset.row, ["wrong", label]);
    save();
  });
  // Only while the list has the focus, and never in a field (WCAG 2.1.4).
  body.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("select, input")) return;
    const line = event.target.closest("tr");
    if (KEYS.has(event.key)) {
      judge(line, KEYS.get(event.key));
      if (verdicts.has(line.dataset.row) && event.key !== "1") step(1);
    } else if (event.key === "0") judge(line, null);
    else if (MOVES.has(event.key)) MOVES.get(event.key)();
    else return;
    event.preventDefault();
  });
  $("#start").addEventListener("click", () =>
    focus(shown().find((line) => !verdicts.has(line.dataset.row)) ?? shown()[0]));

  // Search, filters and sorting: up, down, and back to worst first.
  const plain = (text) => text.normalize("NFKC").toLowerCase();
  let texts; // made when they are asked for: not while the page loads
  function filter() {
    texts ??= new Map(lines.map((line) => [line, plain(line.textContent)]));
    const words = plain($("#q").value).trim();
    const asked = ["#given", "#suggested", "#verdict"].map((id) => $(id)?.value ?? "");
    for (const line of lines) {
      const [row, given, suggested] = known.get(line.dataset.row);
      const own = [given, suggested, verdicts.get(String(row))?.[0] ?? "none"];
      const isIn = asked.every((value, i) => value === "" || value === String(own[i]));
      line.classList.toggle("cut", !isIn || !texts.get(line).includes(words));
    }
    say(count().split(" · ")[0]);
    if (current && !isShown(current) && shown().length) makeCurrent(shown()[0]);
  }
  $$(".tools input, .tools select").forEach((field) => field.addEventListener("input", filter));
  const NEXT = { none: "ascending", ascending: "descending", descending: "none" };
  function sort(head, name) {
    const order = NEXT[head.getAttribute("aria-sort")];
    $$("thead [aria-sort]").forEach((other) => other.setAttribute("aria-sort", "none"));
    head.setAttribute("aria-sort", order);
    const key = (cell) => cell.dataset.v ?? cell.textContent.trim();
    const keys = new Map(lines.map((line) => [line, key(line.children[head.cellIndex])]));
    const compare = (a, b) => a - b || a.localeCompare(b, undefined, { numeric: true });
    const sign = { ascending: 1, descending: -1, none: 0 }[order];
    body.append(...lines.toSorted((a, b) => sign * compare(keys.get(a), keys.get(b))));
    say(`Sorted by ${order === "none" ? "score, worst first" : `${name}, ${order}`}`);
  }
  for (const button of $$("#list thead button"))
    button.addEventListener("click", () => sort(button.closest("th"), button.textContent));

  // Export: no cell that a spreadsheet would take for a formula.
  const NUMBER = /^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?$/;
  function cell(value) {
    let text = String(value);
    if (!NUMBER.test(text) && /^'*[=+\-@\t\r]/.test(text)) text = "'" + text;
    return /[",;\t\r\n]/.test(text) || text !== text.trim() ? `"${text.replaceAll('"', '""')}"` : text;
  }
  const asText = (label) => (data.labels && label !== "" ? data.labels[label].text : label);
  function review() {
    const judged = data.rows.filter(([row]) => verdicts.has(String(row))).map(([row, given]) => {
      const [word, label] = verdicts.get(String(row));
      return [row, asText(given), word, asText(label)];
    });
    const head = ["row", "given_label", "verdict", "new_label"];
    return [head, ...judged].map((cells) => cells.map(cell).join(",") + "\r\n").join("");
  }
  $("#export").addEventListener("click", () => {
    const csv = review();
    const href = URL.createObjectURL(new Blob(["\ufeff", csv], { type: "text/csv;charset=utf-8" }));
    make("a", { href, download: data.file }).click();
    setTimeout(() => URL.revokeObjectURL(href), 10000);
    $("#csv").hidden = isUnsaved = false;
    $("#csv textarea").value = csv;
    say(`${verdicts.size} verdicts written to ${data.file}`);
  });

  lines.forEach(addButtons);
  repaint();
  if (lines.length) makeCurrent(lines[0]);
  // Rows off screen are laid out after the load; left for good they would be missing from
  // the accessibility tree.
  const layOut = () => body.classList.add("whole");
  addEventListener("load", () => self.requestIdleCallback?.(layOut, { timeout: 500 }) ?? setTimeout(layOut));
})();
