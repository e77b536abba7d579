// The grid: pictures of the selected sounds on one scale of time and frequency, and what can be done with them.
function soundGrid(sounds, said, page) {
  const step = 60; // pictures shown at once
  const grid = find("grid");
  let [selected, name, shown, from] = [[], "", step, 0];
  const marked = new Set();

  const orders = {
    typical: (a, b) => sounds.score[a] - sounds.score[b],
    unlike: (a, b) => sounds.score[b] - sounds.score[a],
    time: (a, b) => a - b,
    duration: (a, b) => sounds.end[a] - sounds.start[a] - sounds.end[b] + sounds.start[b],
    frequency: (a, b) => sounds.hz[2 * a] + sounds.hz[2 * a + 1] - sounds.hz[2 * b] - sounds.hz[2 * b + 1],
  };
  const targets = () => (marked.size ? selected.filter((n) => marked.has(n)) : selected);

  function caption(n) {
    const label = said.now.label[n];
    return [label === REJECTED ? "not of interest" : label || said.called(said.typeOf(n)), label ? "" : guessOf(sounds, n), `${lasting(sounds.end[n] - sounds.start[n])}, ${hertzOf(sounds, n)}`,
      timeOf(sounds, n) || `${fileOf(sounds, n)}, ${whereOf(sounds, n)}`];
  }
  function tile(n) {
    const canvas = make("canvas", { "aria-hidden": "true" });
    drawPicture(canvas, sounds, n);
    const pick = make("button", { type: "button", class: "pick", "aria-pressed": marked.has(n), tabindex: "-1" },
      make("span", { class: "picture" }, canvas, make("span", { class: "cursor", hidden: true })),
      make("span", { class: "visually-hidden" }, `Sound ${sounds.event[n]}: `), ...caption(n).map((text) => make("span", { class: "caption" }, text)));
    pick.title = page.about(n).join("\n");
    const play = make("button", { type: "button", class: "play", tabindex: "-1", disabled: !page.canPlay(n) });
    page.label(play, n, false);
    if (!page.canPlay(n)) play.title = page.whyNot(n);
    const enlarge = make("button", { type: "button", class: "enlarge", tabindex: "-1", "aria-label": `Enlarge sound ${sounds.event[n]}`, title: "Enlarge" },
      make("span", { "aria-hidden": "true" }, "⤢"));
    const item = make("li", { class: "cell", "data-sound": n }, pick, play, enlarge);
    item.style.setProperty("--columns", sounds.columns(n));
    return item;
  }
  const tiles = () => [...grid.querySelectorAll(".cell")];
  const numberOf = (each) => Number(each.dataset.sound);

  function count() {
    const all = targets().length;
    find("grid-heading").textContent = selected.length ? `${counted(selected.length, "sound")}: ${name}` : "No sounds selected";
    find("marked").textContent = marked.size ? `${counted(marked.size, "sound")} marked` : selected.length ? "none marked: actions are for all of them" : "";
    for (const button of document.querySelectorAll("#actions button")) button.disabled = !all;
    find("name-them").textContent = `Name ${counted(all, "sound")}`;
  }
  function draw() {
    for (const each of tiles()) each.remove();
    const part = selected.slice(0, shown);
    grid.append(...part.map(tile));
    find("axis").hidden = !part.length;
    find("more").hidden = shown >= selected.length;
    find("more").textContent = `Show ${Math.min(step, selected.length - shown)} more of ${selected.length - shown}`;
    grid.querySelector(".pick")?.setAttribute("tabindex", "0");
    count();
  }
  function sort() {
    selected = [...selected].sort(orders[find("order").value]);
    draw();
  }
  function choose(numbers, text) {
    [selected, name, shown] = [numbers, text, step];
    marked.clear();
    sort();
  }
  function mark(n, on) {
    if (on) marked.add(n); else marked.delete(n);
    grid.querySelector(`[data-sound="${n}"] .pick`)?.setAttribute("aria-pressed", on);
  }
  function pick(n, through) {
    const all = tiles().map(numberOf);
    const place = all.indexOf(n);
    if (through) {
      const [low, high] = [Math.min(from, place), Math.max(from, place)];
      for (const each of all.slice(low, high + 1)) mark(each, true);
    } else {
      mark(n, !marked.has(n));
      from = place;
    }
    count();
  }
  function focus(each) {
    for (const button of grid.querySelectorAll(".pick")) button.tabIndex = -1;
    const button = each.querySelector(".pick");
    button.tabIndex = 0;
    button.focus();
  }

  grid.addEventListener("click", (event) => {
    const each = event.target.closest(".cell");
    if (!each) return;
    if (event.target.closest(".play")) page.play(numberOf(each));
    else if (event.target.closest(".enlarge")) page.enlarge(numberOf(each));
    else if (event.target.closest(".pick")) {
      focus(each);
      pick(numberOf(each), event.shiftKey);
    }
  });
  grid.addEventListener("keydown", (event) => {
    const each = event.target.closest(".cell");
    if (!each || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = tiles();
    const place = all.indexOf(each);
    const columns = Math.max(1, all.filter((other) => other.offsetTop === all[0].offsetTop).length);
    const to = { ArrowLeft: place - 1, ArrowRight: place + 1, ArrowUp: place - columns, ArrowDown: place + columns, Home: 0, End: all.length - 1 }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      const next = all[to];
      if (!next) return;
      if (event.shiftKey) {
        if (!marked.has(numberOf(each))) pick(numberOf(each), false);
        pick(numberOf(next), true);
      }
      focus(next);
    } else if (event.key === "p") page.play(numberOf(each));
    else if (event.key === "e") page.enlarge(numberOf(each));
    else if (event.key === "n") { event.preventDefault(); find("label").focus(); }
    else if (event.key === "Escape") unmark();
  });
  function unmark() {
    for (const n of [...marked]) mark(n, false);
    count();
  }
  find("all").addEventListener("click", () => { for (const n of selected) mark(n, true); count(); });
  find("none").addEventListener("click", unmark);
  find("order").addEventListener("input", sort);
  find("more").addEventListener("click", () => {
    const next = shown;
    shown += step;
    draw();
    focus(tiles()[next]);
  });

  // Actions.
  const many = (numbers) => counted(numbers.length, "sound");
  function label(text) {
    const own = targets();
    said.change(text === REJECTED ? `${many(own)} not of interest` : text ? `${many(own)} named ${text}` : `names of ${many(own)} removed`,
      own.map((n) => [LABEL, n, text]));
  }
  find("naming").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find("label").value.trim();
    if (text && text !== REJECTED) { label(text); find("label").value = ""; }
    else find("label").focus();
  });
  find("reject").addEventListener("click", () => label(REJECTED));
  find("unname").addEventListener("click", () => label(""));
  find("move").addEventListener("click", () => {
    if (!find("target").value) { find("target").focus(); return; }
    const own = targets();
    const type = find("target").value === "new" ? said.nextType() : Number(find("target").value);
    said.change(`${many(own)} moved to ${said.called(type)}`, own.map((n) => [TYPE, n, type]));
    find("target").value = String(type);
  });

  function refresh() {
    const target = find("target").value;
    const option = (value, text) => make("option", { value, selected: value === target }, text);
    find("target").replaceChildren(option("", "choose …"), ...said.types().map((type) => option(String(type), said.called(type))), option("new", "a new type"), option("0", "no type"));
    find("labels").replaceChildren(...[...new Set([...said.labels(), ...said.types().map(said.nameOf).filter(Boolean)])].map((value) => make("option", { value })));
    for (const each of tiles()) {
      const texts = caption(numberOf(each));
      each.querySelectorAll(".caption").forEach((element, i) => { element.textContent = texts[i]; });
      each.classList.toggle("rejected", said.now.label[numberOf(each)] === REJECTED);
    }
    count();
  }
  said.onChange(refresh);
  drawAxis();
  draw();
  refresh();

  function drawAxis() {
    const { ticks, pixel, stretch } = sounds.scale;
    find("axis").replaceChildren(...ticks.map(([hertz, share]) => {
      const text = make("span", {}, hertz >= 1000 ? `${hertz / 1000} kHz` : `${hertz} Hz`);
      text.style.bottom = `${100 * share}%`;
      return text;
    }));
    const seconds = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5].findLast((each) => each * stretch / pixel <= 60) || 0.001;
    const bar = make("span", { class: "bar-of-time", "aria-hidden": "true" });
    bar.style.setProperty("--columns", seconds * stretch / pixel);
    find("scale").replaceChildren(bar, ` ${seconds < 0.1 ? `${seconds * 1000} ms` : `${seconds} s`}. Lines are at ${ticks.map(([hertz]) => hertz.toLocaleString("en")).join(", ")} Hz; the light marks are the start and end of a sound. Each picture is scaled to its loudest part.`);
  }
  return { choose, targets, selected: () => selected };
}
