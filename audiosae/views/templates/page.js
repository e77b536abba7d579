(() => {
  const { items, bins, labelName } = read("items");
  const box = find("units");
  const buttons = [...box.children];
  const byNumber = Object.fromEntries(buttons.map((button) => [button.dataset.item, button]));
  let chosen = 0;
  let pieces = null;

  const shown = () => [...box.children].filter((button) => !button.hidden);

  function facts(rows) {
    return make("dl", { class: "facts" }, ...rows.flatMap(([term, text]) => [make("dt", {}, term), make("dd", {}, text)]));
  }

  function histogram(counts) {
    if (!counts.length) return null;
    const all = counts.reduce((a, b) => a + b, 0);
    const most = Math.sqrt(Math.max(...counts, 1));
    const first = (100 * counts[0] / all).toFixed(1);
    const space = "http://www.w3.org/2000/svg";
    const svg = document.createElementNS(space, "svg");
    svg.setAttribute("viewBox", "0 0 100 40");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", `Histogram of activity: ${first} per cent of the windows below ${1 / bins}, `
      + `${counts.slice(bins / 2).reduce((a, b) => a + b, 0)} of ${all} windows at 0.5 or more`);
    counts.forEach((count, i) => {
      const bar = document.createElementNS(space, "rect");
      const height = 40 * Math.sqrt(count) / most;
      const shape = { x: 100 * i / bins, y: 40 - height, width: 90 / bins, height };
      for (const [key, value] of Object.entries(shape)) bar.setAttribute(key, value);
      svg.append(bar);
    });
    return make("figure", { class: "histogram" }, svg, make("figcaption", {}, make("span", {}, "0"),
      make("span", {}, "activity (number of windows, square-root scale)"), make("span", {}, "1")));
  }

  function side(each, item) {
    const name = each.model ? `${each.model}, unit ${each.unit}` : item.name;
    const note = each.sound && each.sound.slowed > 1 ? `, ${each.sound.slowed} times slower` : "";
    return make("figure", {},
      make("figcaption", {}, each.model ? name : "Atom: the pattern to which the unit responds"),
      make("img", { class: "atom", src: png(each.figure), alt: `Atom of ${name} on labelled axes` }),
      each.sound ? player(each.sound.data, `the atom of ${name}, three times${note}`, null) : null);
  }

  function entry(window, rank) {
    return moment(pieces[window.piece], window, `${rank + 1}`, [`${window.where}, activation ${window.activation.toFixed(4)}`,
      window.label ? `${labelName}: ${window.label}` : null]);
  }

  function alike(item) {
    if (!item.alike.length) return [];
    return [make("h3", {}, "Most similar units"), make("ul", { class: "likes" }, ...item.alike.map(([other, cosine]) => {
      const link = make("button", { type: "button", class: "unit", "aria-label": `Unit ${other}: ${cosine.toFixed(2)}, the cosine of the atoms` },
        make("span", { class: "tiles" }, byNumber[other].querySelector(".tile").cloneNode()),
        make("span", { class: "number" }, `${other}: ${cosine.toFixed(2)}`));
      link.addEventListener("click", () => { choose(other, false); find("detail-heading").focus(); });
      return make("li", {}, link);
    }))];
  }

  function choose(number, focus) {
    stop();
    playing = null;
    pieces ??= read("pieces");
    for (const button of buttons) {
      const on = Number(button.dataset.item) === number;
      button.setAttribute("aria-pressed", on);
      button.tabIndex = on ? 0 : -1;
      if (on && focus) { button.focus({ preventScroll: true }); button.scrollIntoView({ block: "nearest" }); }
    }
    chosen = number;
    const item = items[number];
    find("detail-heading").textContent = item.group ? `${item.name}: ${item.group}` : item.name;
    const labels = item.labels.map(([name, times]) => make("li", {}, make("b", {}, name), ` ${times.toFixed(1)} times as active`));
    find("detail-body").replaceChildren(
      make("div", { class: "atoms" }, ...item.sides.map((each) => side(each, item)),
        make("div", { class: "what" }, facts(item.facts), histogram(item.histogram),
          labels.length ? make("p", { class: "labels" }, `Most active for ${labelName}`) : null,
          labels.length ? make("ul", { class: "labels" }, ...labels) : null)),
      ...(item.windows.length ? [make("h3", {}, "Windows of highest activity"),
        make("ol", { class: "windows" }, ...item.windows.map((window, rank) => entry(window, rank)))] : []),
      ...alike(item));
    find("detail").scrollTop = 0;
    try {
      history.replaceState(null, "", `#${number}`);
    } catch { /* the page is embedded in another one and cannot change the address */ }
  }

  // Search: the number of a unit, or part of a unit's name, of a label or of a file name. Returns a predicate of items.
  function matcher() {
    const text = find("search").value.trim().toLowerCase();
    const group = find("group") ? find("group").value : "";
    const number = /^u?\d+$/.test(text) ? Number(text.replace("u", "")) : null;
    const exact = (item) => item.sides.some((each) => each.unit === number);
    const isUnit = number !== null && items.some(exact);
    if (text && !isUnit) pieces ??= read("pieces");
    const inText = (item) => [item.name, ...item.labels.map(([name]) => name),
      ...item.windows.flatMap((window) => [pieces[window.piece].file, window.label || ""])]
      .some((part) => part.toLowerCase().includes(text));
    return (item) => (!group || item.group === group) && (!text || (isUnit ? exact(item) : inText(item)));
  }

  function arrange() {
    const map = box.classList.contains("map");
    const sort = find("sort");
    const down = sort.selectedOptions[0].dataset.down ? -1 : 1;
    const value = (button) => items[button.dataset.item].order[sort.value];
    const cell = (button) => items[button.dataset.item].cell;
    const order = map
      ? (a, b) => cell(a)[0] - cell(b)[0] || cell(a)[1] - cell(b)[1]
      : (a, b) => down * (value(a) - value(b)) || a.dataset.item - b.dataset.item;
    const matches = matcher();
    for (const button of buttons) button.hidden = !matches(items[button.dataset.item]);
    box.append(...buttons.sort(order));
    const left = shown();
    find("count").textContent = `${left.length} of ${items.length} shown${left.length ? "" : ": no unit matches the search"}`;
    if (left.length && !left.some((button) => Number(button.dataset.item) === chosen)) choose(Number(left[0].dataset.item), false);
  }

  // The unit to which an arrow key moves. Up and down: the nearest unit of the next visible row, in the list and on the map.
  function neighbour(key) {
    const left = shown();
    const current = left.findIndex((button) => Number(button.dataset.item) === chosen);
    if (key === "ArrowLeft" || key === "ArrowRight") return left[current + (key === "ArrowRight" ? 1 : -1)];
    const from = left[current].getBoundingClientRect();
    const sign = key === "ArrowDown" ? 1 : -1;
    const beyond = left.map((button) => [button, button.getBoundingClientRect()])
      .filter(([, box]) => sign * (box.top - from.top) > from.height / 2);
    const row = Math.min(...beyond.map(([, box]) => sign * box.top));
    const next = beyond.filter(([, box]) => Math.abs(sign * box.top - row) < from.height / 2)
      .sort(([, a], [, b]) => Math.abs(a.left - from.left) - Math.abs(b.left - from.left))[0];
    return next && next[0];
  }

  document.addEventListener("keydown", (event) => {
    const inside = box.contains(event.target);
    const free = inside || event.target === document.body || event.target === find("detail-heading");
    if (!free || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key.startsWith("Arrow")) {
      event.preventDefault();
      const next = shown().length && neighbour(event.key);
      if (next) choose(Number(next.dataset.item), inside);
    } else if (event.key === " ") {
      event.preventDefault();
      const play = document.querySelector("#detail .windows .play") || document.querySelector("#detail .play");
      if (play && !event.repeat) play.click();
    }
  });
  box.addEventListener("keyup", (event) => { if (event.key === " ") event.preventDefault(); });
  box.addEventListener("click", (event) => {
    const button = event.target.closest(".unit");
    if (!button) return;
    choose(Number(button.dataset.item), true);
    if (matchMedia("(max-width: 60rem)").matches) find("detail").scrollIntoView();
  });
  find("controls").addEventListener("input", arrange);
  find("controls").addEventListener("submit", (event) => event.preventDefault());
  for (const [id, map] of [["as-grid", false], ["as-map", true]]) {
    find(id).addEventListener("click", () => {
      box.classList.toggle("map", map);
      find("as-grid").setAttribute("aria-pressed", !map);
      find("as-map").setAttribute("aria-pressed", map);
      find("sort").disabled = map;
      arrange();
    });
  }
  arrange();
  // The address may contain the number of a unit: #37 or #u37.
  const addressed = () => Number((/^#u?(\d+)$/.exec(location.hash) || [0, NaN])[1]);
  addEventListener("hashchange", () => { if (items[addressed()] && addressed() !== chosen) choose(addressed(), false); });
  choose(items[addressed()] ? addressed() : Number(shown()[0].dataset.item), false);
})();
