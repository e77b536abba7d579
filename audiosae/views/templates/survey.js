(() => {
  const sounds = readSounds();
  const source = soundSource(sounds);
  const player = soundPlayer(sounds, source);
  const cards = () => [...document.querySelectorAll("[data-kind]")];
  const kinds = { ...Object.fromEntries(cards().map((card) => [card.dataset.kind, card.querySelector("input").value])), ...source.names };
  const said = corrections(sounds, kinds);

  const page = { // what the parts of the page need from each other
    label: player.label,
    play: (n) => player.toggle(n),
    targets: () => grid.targets(),
    canPlay: source.canPlay,
    whyNot: source.whyNot,
    fault: source.fault,
    sound: source.sound,
    stop: player.stop,
    enlarge: (n) => view.open(n, grid.selected()),
    about(n) {
      const label = said.now.label[n];
      return [`sound ${sounds.event[n]}`, said.called(said.typeOf(n)), label === REJECTED ? "not of interest" : label || guessOf(sounds, n),
        timeOf(sounds, n), sounds.sites[sounds.record[n]], `${fileOf(sounds, n)}, ${whereOf(sounds, n)}`, hertzOf(sounds, n)].filter(Boolean);
    },
    choose(numbers, text) {
      grid.choose(numbers, text);
      map.show(numbers);
    },
    open(numbers, text) {
      page.choose(numbers, text);
      find("grid-heading").scrollIntoView({ block: "start" });
      find("grid-heading").focus({ preventScroll: true });
    },
  };
  const grid = soundGrid(sounds, said, page);
  const map = soundMap(sounds, said, page);
  const queue = listeningQueue(sounds, said, page);
  const view = soundView(sounds, said, page);
  hourTable(sounds, said, page);
  find("unusual").addEventListener("click", () => {
    const order = Array.from(sounds.score.keys()).filter((n) => said.now.label[n] !== REJECTED).sort((a, b) => sounds.score[b] - sounds.score[a]);
    find("order").value = "unlike";
    page.open(order.slice(0, 20), "the most unusual ones, farthest from every type first");
  });
  find("every").addEventListener("click", () => page.choose(Array.from(sounds.event.keys()), "all on this page"));

  // Cards of the types. Those of new types are copies of the first card.
  const example = (type) => {
    const own = said.of(type);
    const first = sounds.numbered.get(sounds.best[type]);
    return own.includes(first) ? first : own.reduce((least, n) => (least < 0 || sounds.score[n] < sounds.score[least] ? n : least), -1);
  };
  function newCard(type) {
    const card = cards()[0].cloneNode(true);
    card.id = `type-${type}`;
    card.dataset.kind = type;
    card.querySelector("h3").id = `kind-${type}`;
    card.setAttribute("aria-labelledby", `kind-${type}`);
    card.querySelector("details").remove();
    card.querySelector("input").value = said.nameOf(type);
    find("kinds").append(card);
    return card;
  }
  function drawCard(card, type, own) {
    card.querySelector("h3").replaceChildren(`Type ${type} `, make("span", {}, said.nameOf(type)));
    const input = card.querySelector("input");
    if (document.activeElement !== input) input.value = said.now.name[type] || "";
    card.querySelector(".count").textContent = `${counted(own.length, "sound")}${sounds.count < sounds.all ? " on this page" : ""}`;
    card.querySelector(".precision").textContent = queue.precision(type);
    card.querySelector("[data-merge]").replaceChildren(make("option", { value: "" }, "merge into …"),
      ...said.types().filter((other) => other !== type && said.of(other).length).map((other) => make("option", { value: other }, said.called(other))));
    const n = example(type);
    const box = card.querySelector(".best");
    if (n < 0 || box.dataset.sound === String(n)) return;
    const canvas = make("canvas", { "aria-hidden": "true" });
    drawPicture(canvas, sounds, n);
    const play = make("button", { type: "button", class: "play", disabled: !source.canPlay(n) });
    player.label(play, n, false);
    box.dataset.sound = n;
    box.replaceChildren(make("div", { class: "picture" }, canvas, make("div", { class: "cursor", hidden: true })), play);
  }
  function drawCards() {
    for (const type of said.types()) {
      const own = said.of(type);
      const card = cards().find((each) => Number(each.dataset.kind) === type) || newCard(type);
      card.hidden = !own.length && (type > said.last || kindHad.get(type) > 0);
      drawCard(card, type, own);
    }
    for (const card of cards()) if (!said.types().includes(Number(card.dataset.kind))) card.remove();
  }
  const kindHad = new Map(said.types().map((type) => [type, sounds.type.filter((each) => each === type).length]));
  find("kinds").addEventListener("input", (event) => {
    const type = Number(event.target.closest("[data-kind]").dataset.kind);
    if (event.target.matches("input")) said.change(`type ${type} named ${event.target.value}`, [[NAME, type, event.target.value]]);
    else if (event.target.value) merge(type, Number(event.target.value));
  });
  find("kinds").addEventListener("keydown", (event) => { // from name to name
    if (event.key !== "Enter" || !event.target.matches("input")) return;
    const names = [...find("kinds").querySelectorAll("[data-kind]:not([hidden]) input")];
    names[names.indexOf(event.target) + (event.shiftKey ? -1 : 1)]?.focus();
  });
  find("kinds").addEventListener("click", (event) => {
    const card = event.target.closest("[data-kind]");
    if (!card) return;
    const type = Number(card.dataset.kind);
    if (event.target.closest(".play")) page.play(Number(card.querySelector(".best").dataset.sound));
    const action = event.target.closest("[data-do]")?.dataset.do;
    if (action === "show") page.open(said.of(type), said.called(type));
    if (action === "listen") queue.open(type);
    if (action === "split") split(type);
  });
  function merge(type, into) {
    said.change(`${said.called(type)} merged into ${said.called(into)}`, said.of(type).map((n) => [TYPE, n, into]));
    document.querySelector(`#type-${into} [data-do="show"]`)?.focus();
  }
  function split(type) {
    const part = halves(sounds, said.of(type));
    const added = said.nextType();
    if (!part.length) { report(`${said.called(type)} has too few different sounds to be split.`); return; }
    said.change(`${said.called(type)} split: ${counted(part.length, "sound")} became type ${added}`, part.map((n) => [TYPE, n, added]));
    document.querySelector(`#type-${added} [data-do="show"]`)?.focus();
  }

  // Saving, undo and redo.
  let savedNames = "";
  const report = (text) => { find("saved").textContent = text; };
  function refresh(text = "") {
    drawCards();
    find("undo").disabled = !said.canUndo();
    find("redo").disabled = !said.canRedo();
    const kept = said.isStored() ? "This browser keeps the changes until you save them." : "This browser keeps nothing: save before you leave.";
    report(said.isUnsaved() ? `${text ? `${text[0].toUpperCase()}${text.slice(1)}. ` : ""}${source.keeps ? "" : kept}` : text || (source.keeps ? "Changes are saved as you make them." : "Nothing to save."));
  }
  said.onChange(refresh);
  find("undo").addEventListener("click", () => said.undo());
  find("redo").addEventListener("click", () => said.redo());
  find("save").addEventListener("click", async () => {
    if (source.keeps) { serving.save(); return; }
    const message = await source.save("labels.csv", said.labelsTable());
    const { count, text } = said.namesTable();
    said.saved(`${message}${count && text !== savedNames ? "; save the names of the types, too" : ""}.`);
  });
  find("save-names").addEventListener("click", async () => {
    const { count, text } = said.namesTable();
    const message = await source.save("names.csv", text);
    savedNames = text;
    report(`Saved ${counted(count, "name")}: ${message}.`);
  });
  addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.closest("input, textarea")) return;
    const key = event.key.toLowerCase();
    if (key === "z" && !event.shiftKey) said.undo();
    else if (key === "y" || (key === "z" && event.shiftKey)) said.redo();
    else return;
    event.preventDefault();
  });
  const serving = source.keeps ? servedPage(sounds, said, page, { source, player, report }) : null;
  addEventListener("beforeunload", (event) => { if (said.isUnsaved() && !said.isStored()) event.preventDefault(); });
  refresh();
  grid.choose(said.types().map(example).filter((n) => n >= 0), "the best example of each type"); // the map shows all alike
})();
