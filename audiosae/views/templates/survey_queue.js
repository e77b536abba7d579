// The listening queue: is each of some sounds what its type is? Yes, no, something else, or its name. The answers give
// the precision of a type.
const ANSWERS = { yes: "y", no: "n", other: "o" };

// Wilson's interval (1927) of a share, 95 per cent.
function interval(share, count) {
  const z = 1.96;
  const middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function listeningQueue(sounds, said, page) {
  const each = 5, most = 9; // sounds of a kind; labels with a key
  let [type, queue, place, auto] = [0, [], 0, false];
  const ranked = nextQuestions(sounds, said);
  const skipped = new Set();
  const offered = new Set(); // labels, in the order in which they were first used: their keys stay the same

  const isDone = (n) => Boolean(said.now.answer[n] || said.now.label[n]);
  // What a type is: its name, or the most frequent label of its sounds.
  function meaning(number) {
    if (said.nameOf(number)) return said.nameOf(number);
    const counts = new Map();
    for (const n of said.of(number)) if (said.now.label[n]) counts.set(said.now.label[n], (counts.get(said.now.label[n]) || 0) + 1);
    return [...counts].reduce((best, entry) => (entry[1] > best[1] ? entry : best), ["", 0])[0];
  }

  const randomly = (own) => [...own].sort((a, b) => sounds.order[a] - sounds.order[b]);
  const typically = (own) => [...own].sort((a, b) => sounds.score[a] - sounds.score[b]);
  // Labels that are given in the grid are given to sounds that were picked, most of which nobody listened to.
  const isHeard = (n) => Boolean(said.now.answer[n]) || said.now.label[n] === REJECTED;
  // The sounds that were drawn at random and heard: of all sounds in random order, those before the first that was not.
  // The nearest and farthest would be no fair sample.
  function drawn(number) {
    const own = randomly(said.of(number));
    const first = own.findIndex((n) => !isHeard(n));
    return first < 0 ? own : own.slice(0, first);
  }
  function precision(number) {
    const heard = drawn(number);
    if (!heard.length) return "";
    const name = meaning(number);
    const right = heard.filter((n) => said.now.answer[n] === "yes" && (!said.now.label[n] || said.now.label[n] === name)).length;
    const [low, high] = interval(right / heard.length, heard.length);
    return `${Math.round(100 * right / heard.length)} % of ${heard.length} random sounds are right (95 % interval: ${Math.round(100 * low)} to ${Math.round(100 * high)} %)`;
  }
  // Of all types: the sounds whose labels would help most.
  const overall = () => ranked(Array.from(sounds.event.keys()).filter((n) => !isDone(n) && !skipped.has(n)));
  function fill() {
    const open = said.of(type).filter((n) => !isDone(n));
    const kind = find("queue-kind").value;
    find("queue-kind").disabled = !type;
    const some = {
      nearest: () => typically(open).slice(0, each),
      random: () => randomly(said.of(type).filter((n) => !isHeard(n))).slice(0, each),
      border: () => typically(open).slice(-each).reverse(),
    };
    skipped.clear();
    queue = !type ? overall() : kind === "all" ? [...new Set([...some.nearest(), ...some.random(), ...some.border()])] : some[kind]();
    place = 0;
    show();
  }
  function tell() {
    find("precision").textContent = type ? precision(type) || "Precision of this type: not known yet, because no random sound of it was answered." : "";
  }
  function show() {
    const n = queue[place];
    const box = find("queued");
    find("answers").hidden = find("queue-naming").hidden = n === undefined;
    drawLabels();
    tell();
    if (n === undefined) {
      delete box.dataset.sound;
      box.replaceChildren(make("p", {}, queue.length ? "All of these are answered. Choose the next ones above." : "Every sound is answered."));
      return;
    }
    const canvas = make("canvas", { "aria-hidden": "true" });
    drawPicture(canvas, sounds, n);
    const play = make("button", { type: "button", class: "play", disabled: !page.canPlay(n) });
    page.label(play, n, false);
    play.addEventListener("click", () => page.play(n));
    box.dataset.sound = n;
    const enlarge = make("button", { type: "button" }, "Enlarge");
    enlarge.addEventListener("click", () => page.enlarge(n));
    const kind = said.typeOf(n);
    find("yes-no").hidden = kind <= 0;
    const question = kind <= 0 ? "What is this?" : !said.nameOf(kind) && meaning(kind) ? `Is this ${said.called(kind)}, mostly ${meaning(kind)}?` : `Is this ${said.called(kind)}?`;
    const progress = type ? `${place + 1} of ${queue.length}.` : `${counted(Array.from(sounds.event.keys()).filter(isDone).length, "sound")} of ${sounds.count.toLocaleString("en")} answered.`;
    box.replaceChildren(make("p", {}, `${progress} ${question}`),
      make("div", { class: "picture" }, canvas, make("div", { class: "cursor", hidden: true })), play, enlarge,
      make("p", { class: "keys" }, page.about(n).join(", "), page.canPlay(n) ? "" : ` (no sound: ${page.whyNot(n)})`));
    if (auto) page.play(n);
  }
  function next(text, ...changes) {
    const n = queue[place];
    if (n === undefined) return;
    auto = true;
    place += 1;
    if (changes.length) said.change(`sound ${sounds.event[n]}${text}`, changes.map(([field, value]) => [field, n, value]));
    else skipped.add(n);
    if (!type) queue = [...queue.slice(0, place), ...overall()];
    show();
  }
  const answer = (text) => (text ? next(`: ${text}`, [ANSWER, text]) : next());
  const name = (text) => (text === REJECTED ? next(": not of interest", [LABEL, text]) : next(` named ${text}`, [LABEL, text], [ANSWER, "yes"]));

  // The labels used so far, as buttons; the first ones have keys.
  function drawLabels() {
    const used = new Set([...said.labels(), ...said.types().map(said.nameOf)].filter(Boolean));
    for (const text of offered) if (!used.has(text)) offered.delete(text); // such as the first letters of a name
    for (const text of used) offered.add(text);
    find("queue-labels").hidden = !offered.size || queue[place] === undefined;
    find("queue-labels").replaceChildren(...[...offered].slice(0, 30).map((text, i) => {
      const button = make("button", { type: "button" }, text, i < most ? " " : null, i < most ? make("kbd", {}, String(i + 1)) : null);
      button.addEventListener("click", () => name(text));
      return make("li", {}, button);
    }));
  }
  find("queue-naming").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find("queue-label").value.trim();
    if (!text || text === REJECTED) return;
    find("queue-label").value = "";
    name(text);
    find("queue-heading").focus(); // so that the keys work
  });
  find("answers").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button?.dataset.answer !== undefined) answer(button.dataset.answer);
  });
  find("queue-reject").addEventListener("click", () => name(REJECTED));
  find("queue").addEventListener("keydown", (event) => {
    if (event.target.closest("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const text = Object.keys(ANSWERS).find((each) => ANSWERS[each] === event.key);
    if (text) answer(text);
    else if (event.key === "p" && queue[place] !== undefined) page.play(queue[place]);
    else if (event.key === "e" && queue[place] !== undefined) page.enlarge(queue[place]);
    else if (event.key === "s") answer("");
    else if (event.key === "l") { event.preventDefault(); find("queue-label").focus(); }
    else if (event.key >= "1" && event.key <= String(most) && [...offered][event.key - 1]) name([...offered][event.key - 1]);
  });
  find("queue-type").addEventListener("input", () => { type = Number(find("queue-type").value); fill(); });
  find("queue-kind").addEventListener("input", fill);
  find("queue-next").addEventListener("click", () => { auto = true; fill(); });

  function refresh() {
    const types = said.types().filter((number) => said.of(number).length);
    const option = (number, text) => make("option", { value: number, selected: number === type }, text);
    find("queue-type").replaceChildren(option(0, "all types"), ...types.map((number) => option(number, said.called(number))));
    if (type && !types.includes(type)) { type = 0; fill(); }
    const before = queue[place - 1]; // its answer may have been undone
    if (before !== undefined && !isDone(before) && !skipped.has(before)) { place -= 1; auto = false; show(); }
    tell();
    drawLabels();
  }
  said.onChange(refresh);
  refresh();
  fill();
  return {
    precision,
    open(number) {
      [type, auto] = [number, true];
      find("queue-type").value = number;
      fill();
      find("queue-heading").focus();
    },
  };
}
