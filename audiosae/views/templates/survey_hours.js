// The table of hours: how many sounds, of a type or of all, at a site or at all; an hour is opened in the grid.
function hourTable(sounds, said, page) {
  const { hours } = sounds;
  if (!hours) return;
  const cells = [...document.querySelectorAll("#hours button")];
  const labelNumber = (kind) => (kind.startsWith("label ") ? kind.slice(6) : ""); // of a label, else of a type or of all
  const number = (cell, kind) => (labelNumber(kind) ? (cell.labels || {})[labelNumber(kind)] || 0 : ofTypes(cell, kind));
  const ofTypes = (cell, kind) => Object.entries(cell.types).reduce((all, [type, count]) => all + (kind === "" || type === kind ? count : 0), 0);
  const site = () => (find("site") ? find("site").value : "");
  const ofSite = (button) => { // nothing where the site has no recording
    const cell = hours.cells[button.dataset.cell];
    return site() === "" ? cell : (cell.sites || {})[site()];
  };
  const rate = (count, cell) => 3600 * count / Math.max(cell.seconds, 1);
  const rateText = (value) => (value > 0 && value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en"));
  const minutes = (seconds) => (seconds < 90 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`);
  const summary = (count, cell) => `${counted(count, "sound")} in ${minutes(cell.seconds)} of recording, ${rateText(rate(count, cell))} per recorded hour`;
  const focus = (button) => { for (const each of cells) each.tabIndex = each === button ? 0 : -1; };
  function draw() {
    const kind = find("kind").value;
    const shown = cells.map(ofSite);
    const rates = shown.map((cell) => (cell ? rate(number(cell, kind), cell) : 0));
    const most = Math.max(...rates, 1e-9);
    cells.forEach((button, i) => {
      const cell = shown[i];
      const [day, hour] = button.dataset.cell.split(" ");
      button.style.visibility = cell ? "" : "hidden";
      if (!cell) { button.textContent = ""; return; }
      const count = number(cell, kind);
      button.textContent = find("unit").value === "rate" ? rateText(rates[i]) : count;
      button.setAttribute("aria-label", `${day}, ${hour}:00: ${summary(count, cell)}`);
      button.style.setProperty("--share", `${Math.round(70 * rates[i] / most)}%`);
    });
    focus(cells.find((button) => button.style.visibility !== "hidden"));
  }
  const { type: types, given } = sounds.surveyed;
  const isOf = (n, kind) => { // as the survey counted: without sounds that were not of interest
    if (given[n]?.[0] === REJECTED) return false;
    if (!labelNumber(kind)) return kind === "" || types[n] === Number(kind);
    return sounds.names[sounds.classified[n]] === hours.labels[labelNumber(kind) - 1];
  };
  const within = (button, kind) => {
    const [day, hour] = button.dataset.cell.split(" ");
    const own = [];
    for (let n = 0; n < sounds.count; n += 1) {
      const time = timeOf(sounds, n);
      if (time.startsWith(day) && Number(time.slice(11, 13)) === Number(hour) && isOf(n, kind)
        && (site() === "" || sounds.sites[sounds.record[n]] === hours.sites[site()])) own.push(n);
    }
    return own;
  };
  function open(button) {
    const kind = find("kind").value;
    const [day, hour] = button.dataset.cell.split(" ");
    const title = `${day}, ${hour}:00 to ${Number(hour) + 1}:00`;
    const cell = ofSite(button);
    const own = labelNumber(kind) ? hours.labels[labelNumber(kind) - 1] : "";
    const listed = own ? [] : Object.entries(cell.types).filter(([type]) => kind === "" || type === kind);
    const show = (text, type, name = text) => {
      const link = make("button", { type: "button" }, text);
      link.addEventListener("click", () => page.open(within(button, type), `${name}, ${title}${site() === "" ? "" : `, ${hours.sites[site()]}`}`));
      return link;
    };
    find("hour").replaceChildren(make("h3", {}, `${title}: ${summary(number(cell, kind), cell)}`),
      make("ul", { class: "chips" }, ...listed.map(([type, count]) => make("li", {}, show(`${said.called(Number(type))}: ${count}`, type, said.called(Number(type))))),
        ...(own && number(cell, kind) ? [make("li", {}, show(`${own}: ${number(cell, kind)}`, kind, own))] : []),
        ...(listed.length > 1 ? [make("li", {}, show("all of them", kind, "all sounds"))] : [])));
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
    for (; row >= 1 && find("hours").rows[row] && column >= 1 && column < find("hours").rows[0].cells.length; row += step[0], column += step[1]) {
      const next = find("hours").rows[row].cells[column]?.querySelector("button");
      if (next && next.style.visibility !== "hidden") { focus(next); next.focus(); return; }
    }
  });
  said.onChange(() => { for (const option of find("kind").options) if (Number(option.value)) option.textContent = said.called(Number(option.value)); });
  draw();
}
