"use strict";
// Ranks, orders and strings come from the page's data; nothing is estimated or compared here.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const make = (tag, text, name) => {
    const element = document.createElement(tag);
    if (text) element.textContent = text;
    if (name) element.className = name;
    return element;
  };
  const rows = (n) => `${n.toLocaleString("en")} ${n === 1 ? "row" : "rows"}`;
  const range = (first, n) => Array.from({ length: n }, (_, i) => first + i);
  const letter = (group) => data.letters[group] || `(${group + 1})`;
  const rank = (at) => (!at ? "–" : at[0] === at[1] ? `${at[0]}` : `${at[0]}–${at[1]}`);
  // Record keys: twelve hexadecimal digits each.
  const keysOf = (text) => range(0, atob(text).length).map((i) => atob(text).charCodeAt(i).toString(16).padStart(2, "0")).join("").match(/.{12}/g) || [];
  document.documentElement.classList.add("js");

  async function copy(text, said, done) {
    try {
      await navigator.clipboard.writeText(text);
      said.textContent = done;
    } catch {
      const area = make("textarea", text);
      (said.closest("dialog") || document.body).append(area);
      area.select();
      said.textContent = document.execCommand("copy") ? done : "Copying failed: the browser does not allow it";
      area.remove();
    }
  }

  function board(table) {
    const block = data.blocks[table.dataset.block];
    const section = table.closest("section");
    const [main, rest] = [table.querySelector(".main"), table.querySelector(".rest")];
    const line = [];
    for (const tr of table.querySelectorAll("tr[data-r]")) line[tr.dataset.r] = tr;
    let names = null; // made when somebody filters
    const [input, all, said] = ["input", ".all", ".said"].map((part) => section.querySelector(part));
    let [by, everything] = [Number(table.querySelector("[aria-sort] .by")?.dataset.c ?? -1), false];

    const order = () => (by < 0 ? line.map((_, r) => r) : block.columns[by].order);
    const wanted = () => {
      const text = input.value.trim().toLowerCase();
      if (!text) return order();
      names ??= line.map((tr) => [...tr.querySelectorAll("th")].map((th) => th.textContent).join(" ").toLowerCase());
      return order().filter((r) => names[r].includes(text));
    };

    function show() {
      const keep = wanted();
      const first = new Set(everything ? keep : keep.slice(0, data.most));
      line.forEach((tr, r) => (tr.hidden = !first.has(r)));
      rest.hidden = ![...rest.rows].some((tr) => tr.dataset.r && !tr.hidden);
      const of = keep.length === line.length ? "" : ` of ${line.length.toLocaleString("en")}`;
      section.querySelector(".shown").textContent =
        first.size < keep.length ? `first ${first.size.toLocaleString("en")} of ${rows(keep.length)}` : rows(keep.length).replace(" ", `${of} `);
      all.hidden = first.size === keep.length;
      for (const late of section.querySelectorAll(".late")) late.hidden = all.hidden;
    }

    function place(tr, at, column, apart) {
      tr.classList.toggle("lead", Boolean(apart && at && at[0] === 1));
      const cell = tr.querySelector(".rank");
      if (!cell) return;
      const [low, high, first, groups] = at || [0, 0, 0, 0];
      cell.querySelector("span").textContent = rank(at);
      cell.querySelector(".span").setAttribute("x", at ? ((low - 1) / column.of) * 60 : 0);
      cell.querySelector(".span").setAttribute("width", at ? Math.max(2, ((high - low + 1) / column.of) * 60) : 0);
      const letters = groups > 6
        ? [make("span", `${letter(first)} … ${letter(first + groups - 1)}`, "l0")]
        : range(first, groups).map((g) => make("span", letter(g), `l${g % column.lanes}`));
      tr.querySelector(".ties").replaceChildren(...letters);
    }

    function sort(c) {
      by = c;
      const column = block.columns[c];
      const apart = column.places && column.places.some((at) => at && at[0] > 1);
      column.order.forEach((r, i) => {
        (i < column.ranked ? main : rest).append(line[r]);
        place(line[r], column.places && column.places[r], column, apart);
      });
      rest.querySelector(".sep span").textContent = column.rest;
      for (const th of table.querySelectorAll("[aria-sort]")) th.removeAttribute("aria-sort");
      const head = table.querySelector(`.by[data-c="${c}"]`).closest("th");
      head.setAttribute("aria-sort", "other");
      show();
      const box = table.parentElement;
      const fixed = [...table.querySelectorAll("thead .n1, thead .n2")].reduce((w, th) => w + th.offsetWidth, 0);
      const edge = head.offsetLeft + head.offsetWidth;
      if (edge > box.scrollLeft + box.clientWidth || head.offsetLeft < box.scrollLeft + fixed) box.scrollLeft = head.offsetLeft - fixed;
    }

    const fields = (r) => {
      const tr = line[r];
      const place = tr.querySelector(".rank span");
      const pills = [...tr.querySelectorAll(".pill")].map((pill) => pill.textContent).join("; ");
      const ties = [...tr.querySelectorAll(".ties span")].map((tie) => tie.textContent).join("");
      const cells = [...tr.cells].filter((cell) => !cell.matches(".rank, .ties, .flags"));
      const shown = cells.map((cell) => [...cell.querySelectorAll("b, i")].map((e) => e.textContent).join(" ").trim() || cell.textContent);
      return [...(place ? [place.textContent, ties] : []), ...shown, ...(tr.querySelector(".flags") ? [pills] : [])];
    };

    function text(form) {
      const keep = wanted();
      if (form === "csv") {
        const lines = keep.flatMap((r) => block.cells[r].map((cell, c) => {
          if (!cell) return "";
          const column = block.columns[c];
          const own = cell[4].split("\t").values();
          const [low, high, group, groups] = (column.places && column.places[r]) || ["", "", 0, 0];
          const elsewhere = { "-1": () => keysOf(cell[2]).join(" "), "-2": () => low, "-3": () => high, "-4": () => range(group, groups).map(letter).join("") };
          const field = (f) => (f === null ? own.next().value : typeof f === "string" ? f : f < 0 ? elsewhere[f]() : block.labels[r][f]);
          return column.csv.map(field).join(",");
        }));
        return [block.csv, ...lines.filter(Boolean), ""].join("\n");
      }
      const signs = (s) => [...s].map((character) => data.escapes[form][character] ?? character).join("");
      const tex = (s) => signs(s.replace(/\s+/gu, " ").trim().replace(/[\p{Cc}\p{Cf}\p{Cs}\p{Co}]/gu, "")).replace(/-\{\}(?!-)/g, "-");
      const escape = form === "tex" ? tex : signs;
      const head = [...(table.querySelector("td.rank") ? ["rank", "ties"] : []), ...block.head].map(escape);
      const lines = keep.filter((r) => !line[r].hidden).map((r) => fields(r).map(escape));
      if (form === "md") return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |\n`).join("");
      const rows = lines.map((cells) => `${cells.join(" & ")} \\\\`);
      return [`\\begin{tabular}{${"l".repeat(head.length)}}`, "\\toprule", `${head.join(" & ")} \\\\`, "\\midrule", ...rows, "\\bottomrule", "\\end{tabular}", ""].join("\n");
    }

    table.addEventListener("click", (event) => {
      const head = event.target.closest(".by");
      if (head) return sort(Number(head.dataset.c));
      const number = event.target.closest("td > button");
      if (number) drawer(block, Number(number.closest("tr").dataset.r), number.closest("td").cellIndex - Number(table.dataset.first), number);
    });
    input.addEventListener("input", show);
    all.addEventListener("click", () => { everything = true; show(); });
    for (const button of section.querySelectorAll("[data-copy]")) {
      button.addEventListener("click", () => {
        const shown = button.dataset.copy === "csv" ? wanted().length : line.filter((tr) => !tr.hidden).length;
        copy(text(button.dataset.copy), said, `Copied ${rows(shown)}`);
      });
    }
    if (line.length > data.most) show();
  }

  const dialog = document.getElementById("drawer");
  function drawer(block, r, c, button) {
    const column = block.columns[c];
    const [how, origin, records, seeds, , missing] = block.cells[r][c];
    const [on, ran, passes, versions] = data.origins[origin].map((i) => data.strings[i]);
    const at = column.places && column.places[r];
    const keys = [...new Set(keysOf(records))]; // seeds may share a record
    let standing = column.places && !at ? "not ranked" : "";
    if (at) standing = `Rank ${rank(at)} of ${column.of}: ${at[0] - 1} ${at[0] === 2 ? "row is" : "rows are"} separated as better, ${column.of - at[1]} as worse.`;
    dialog.querySelector("h2").textContent = `${[...button.closest("tr").querySelectorAll("th")].map((th) => th.textContent).join(" × ")} · ${column.name}`;
    dialog.querySelector(".value").textContent = [...[...button.children].map((e) => e.textContent), column.unit].join(" ").trim();
    const list = dialog.querySelector("dl");
    list.replaceChildren();
    const facts = [
      ["board", block.title], ["measures", column.about], ["number", data.strings[how]], ["rank", standing], ["missing", missing],
      ["dataset", on], ["per seed", seeds.replaceAll("-", "−").replaceAll(" ", ", ")], [keys.length === 1 ? "record" : "records", keys.join(", ")],
      ["ran", ran], ["passes", passes], ["versions", versions],
    ];
    for (const [what, value] of facts) if (value) list.append(make("dt", what), make("dd", value));
    dialog.querySelector("pre").textContent = [data.strings[block.again], ...keys.map((key) => `--only ${key}`)].join(" ");
    dialog.querySelector("[role=status]").textContent = "";
    dialog.showModal();
    dialog.scrollTop = 0;
  }
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.querySelector(".copy").addEventListener("click", () => {
    copy(dialog.querySelector("pre").textContent, dialog.querySelector("[role=status]"), "Copied");
  });

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const flag of document.querySelectorAll(".flag")) if (flag.matches(":hover, :focus-within")) flag.classList.add("shut");
  });
  for (const name of ["mouseout", "focusout"]) {
    document.addEventListener(name, (event) => {
      const flag = event.target.closest && event.target.closest(".flag");
      if (flag && !flag.contains(event.relatedTarget)) flag.classList.remove("shut");
    });
  }
  // What stands still when a table is wider than its box, and whether it is.
  for (const box of document.querySelectorAll(".scroll")) {
    const table = box.firstElementChild;
    const names = [...table.querySelectorAll("thead .n1, thead .n2")];
    const measure = new ResizeObserver(() => {
      box.previousElementSibling.querySelector(".wide").hidden = table.offsetWidth <= box.clientWidth;
      if (names[0]) table.style.setProperty("--after-1", `${names[0].offsetWidth}px`);
      table.style.setProperty("--names", `${names.reduce((w, th) => w + th.offsetWidth, 0)}px`);
    });
    for (const part of [box, table, ...names]) measure.observe(part);
  }
  document.querySelectorAll("table[data-block]").forEach(board);
})();
