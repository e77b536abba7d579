(() => {
  const { groups, hours } = read("items");
  const pieces = read("pieces");
  const nearest = 5;
  const inputs = [...document.querySelectorAll("input[data-type]")];
  const nameOf = (type) => (inputs.find((input) => input.dataset.type === `${type}`) || { value: "" }).value.trim();
  const called = (type) => (type ? `type ${type} ${nameOf(type)}`.trim() : "no type");

  for (const list of document.querySelectorAll("ol[data-group]")) {
    const { group, part } = list.dataset;
    const all = groups[group] || [];
    const shown = { typical: all.slice(0, nearest), unlike: all.slice(nearest), all }[part];
    shown.forEach((window, rank) => list.append(moment(pieces[window.piece], window, `${rank + 1}`,
      [window.where, window.time, window.hz, window.label, `${part === "all" ? `${called(window.type)}, ` : ""}distance ${window.score}`])));
    if (part === "unlike" && !shown.length) list.parentElement.hidden = true;
  }

  for (const image of document.querySelectorAll("img[data-of]")) { // the pictures of the types are in the file only once
    const mean = document.querySelector(`#type-${image.dataset.of} .mean`);
    if (mean) { image.src = mean.src; image.hidden = false; }
  }

  // Names appear at once wherever their type is shown; the user saves them as a file.
  let unsaved = false;
  for (const input of inputs) {
    input.addEventListener("input", () => {
      unsaved = true;
      for (const element of document.querySelectorAll(`[data-name="${input.dataset.type}"]`)) element.textContent = input.value;
      const option = document.querySelector(`#kind option[value="${input.dataset.type}"]`);
      if (option) option.textContent = called(input.dataset.type);
      find("saved").textContent = "The names are not saved yet.";
    });
  }
  addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
  // As audiosae.system.files.cell: a spreadsheet evaluates no cell that begins with an apostrophe.
  const formula = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
  const quoted = (text) => `"${formula.test(text) && !number.test(text) ? "'" : ""}${text.replaceAll('"', '""')}"`;
  find("save").addEventListener("click", () => {
    const named = inputs.filter((input) => input.value.trim());
    const { survey } = find("save").dataset; // the survey command compares it with its own types
    const rows = ["type,name,survey", ...named.map((input) => `${input.dataset.type},${quoted(input.value.trim())},${survey}`)];
    const link = make("a", { download: "names.csv", href: URL.createObjectURL(new Blob([`${rows.join("\n")}\n`], { type: "text/csv" })) });
    link.click();
    unsaved = false;
    find("saved").textContent = `Saved ${named.length} ${named.length === 1 ? "name" : "names"} as names.csv in the download folder of your browser.`;
  });

  if (!hours) return;
  const cells = [...document.querySelectorAll("#hours button")];
  const sum = (cell, kind) => Object.entries(cell.types).reduce((all, [type, count]) => all + (kind === "" || type === kind ? count : 0), 0);
  const site = () => (find("site") ? find("site").value : "");
  const ofSite = (cell) => (site() === "" ? cell : (cell.sites || {})[site()]); // nothing where the site has no recording
  const rate = (count, cell) => 3600 * count / Math.max(cell.seconds, 1);
  const rateText = (value) => (value > 0 && value < 10 ? value.toFixed(1) : `${Math.round(value)}`);
  const minutes = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
  const counted = (count, cell) => `${count} ${count === 1 ? "sound" : "sounds"} in ${minutes(cell.seconds)} of recording, ${rateText(rate(count, cell))} per recorded hour`;
  const focus = (button) => { for (const each of cells) each.tabIndex = each === button ? 0 : -1; };
  function draw() {
    const kind = find("kind").value;
    const shown = cells.map((button) => ofSite(hours.cells[button.dataset.cell]));
    const rates = shown.map((cell) => (cell ? rate(sum(cell, kind), cell) : 0));
    const most = Math.max(...rates, 1e-9);
    cells.forEach((button, i) => {
      const cell = shown[i];
      const [day, hour] = button.dataset.cell.split(" ");
      button.style.visibility = cell ? "" : "hidden";
      if (!cell) { button.textContent = ""; return; }
      const count = sum(cell, kind);
      button.textContent = find("unit").value === "rate" ? rateText(rates[i]) : count;
      button.setAttribute("aria-label", `${day}, ${hour}:00: ${counted(count, cell)}`);
      button.style.setProperty("--share", `${Math.round(70 * rates[i] / most)}%`);
    });
    focus(cells.find((button) => button.style.visibility !== "hidden"));
  }
  const times = (start, end) => [start, end].map((time) => time.toFixed(end - start < 0.1 ? 3 : 2)).join(" to ") + " s";
  function open(button) {
    const kind = find("kind").value;
    const whole = hours.cells[button.dataset.cell];
    const cell = ofSite(whole);
    const [day, hour] = button.dataset.cell.split(" ");
    const listed = whole.events.filter(([file, , , type]) => (kind === "" || `${type}` === kind) && (site() === "" || `${hours.site_of[file]}` === site()));
    const count = sum(cell, kind);
    find("hour").replaceChildren(
      make("h3", {}, `${day}, ${hour}:00 to ${Number(hour) + 1}:00: ${counted(count, cell)}`),
      make("ul", {}, ...listed.map(([file, start, end, type]) => make("li", {}, `${hours.files[file]}, ${times(start, end)}: `,
        type ? make("a", { href: `#type-${type}` }, called(type)) : called(type)))),
      listed.length < count ? make("p", {}, `${count - listed.length} more are in the tables of the survey.`) : "");
    for (const each of cells) each.setAttribute("aria-pressed", each === button);
  }
  for (const select of ["kind", "unit", "site"].map(find)) {
    if (select) select.addEventListener("input", () => { draw(); find("hour").replaceChildren(); });
  }
  find("hours").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) { focus(button); open(button); }
  });
  find("hours").addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!step || !event.target.closest("td")) return;
    event.preventDefault();
    const current = event.target.closest("td");
    let [row, column] = [current.parentElement.rowIndex + step[0], current.cellIndex + step[1]];
    for (; find("hours").rows[row]?.cells[column]; row += step[0], column += step[1]) {
      const next = find("hours").rows[row].cells[column].querySelector("button");
      if (next && next.style.visibility !== "hidden") { focus(next); next.focus(); return; }
    }
  });
  draw();
})();
