// The table of hours: how many sounds, of a type or of all; an hour is opened in the grid.
function hourTable(sounds, said, page) {
  const { hours } = sounds;
  if (!hours) return;
  const cells = [...document.querySelectorAll("#hours button")];
  const number = (cell, kind) => Object.entries(cell.types).reduce((all, [type, count]) => all + (kind === "" || type === kind ? count : 0), 0);
  function draw() {
    const kind = find("kind").value;
    const rates = cells.map((button) => number(hours.cells[button.dataset.cell], kind) / Math.max(hours.cells[button.dataset.cell].seconds, 1));
    const most = Math.max(...rates, 1e-9);
    cells.forEach((button, i) => {
      const count = number(hours.cells[button.dataset.cell], kind);
      const [day, hour] = button.dataset.cell.split(" ");
      button.textContent = count;
      button.setAttribute("aria-label", `${day}, ${hour}:00: ${counted(count, "sound")}`);
      button.style.setProperty("--share", `${Math.round(70 * rates[i] / most)}%`);
    });
  }
  const within = (button, type) => {
    const [day, hour] = button.dataset.cell.split(" ");
    const own = [];
    for (let n = 0; n < sounds.count; n += 1) {
      const time = timeOf(sounds, n);
      if (time.startsWith(day) && Number(time.slice(11, 13)) === Number(hour) && (type === "" || sounds.type[n] === Number(type))) own.push(n);
    }
    return own;
  };
  function open(button) {
    const kind = find("kind").value;
    const [day, hour] = button.dataset.cell.split(" ");
    const title = `${day}, ${hour}:00 to ${Number(hour) + 1}:00`;
    const cell = hours.cells[button.dataset.cell];
    const listed = Object.entries(cell.types).filter(([type]) => kind === "" || type === kind);
    const show = (text, type) => {
      const link = make("button", { type: "button" }, text);
      link.addEventListener("click", () => page.open(within(button, type), `${text}, ${title}`));
      return link;
    };
    find("hour").replaceChildren(make("h3", {}, `${title}: ${counted(number(cell, kind), "sound")}`),
      make("ul", { class: "chips" }, ...listed.map(([type, count]) => make("li", {}, show(`${said.called(Number(type))}: ${count}`, type))),
        ...(listed.length > 1 ? [make("li", {}, show("all of them", kind))] : [])));
    for (const each of cells) each.setAttribute("aria-pressed", each === button);
  }
  const focus = (button) => { for (const each of cells) each.tabIndex = each === button ? 0 : -1; };
  find("kind").addEventListener("input", () => { draw(); find("hour").replaceChildren(); });
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
      if (next) { focus(next); next.focus(); return; }
    }
  });
  said.onChange(() => { for (const option of find("kind").options) if (Number(option.value)) option.textContent = said.called(Number(option.value)); });
  focus(cells[0]);
  draw();
}
