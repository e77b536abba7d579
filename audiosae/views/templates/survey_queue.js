// The listening queue of a type: is each of some of its sounds what the type is? The answers give its precision.
const ANSWERS = { yes: "y", no: "n", other: "o" };

// Wilson's interval (1927) of a share, 95 per cent.
function interval(share, count) {
  const z = 1.96;
  const middle = (share + z * z / (2 * count)) / (1 + z * z / count);
  const half = z / (1 + z * z / count) * Math.sqrt(share * (1 - share) / count + z * z / (4 * count * count));
  return [Math.max(0, middle - half), Math.min(1, middle + half)];
}

function listeningQueue(sounds, said, page) {
  const each = 5;
  let [type, queue, place, auto] = [0, [], 0, false];

  const randomly = (own) => [...own].sort((a, b) => sounds.order[a] - sounds.order[b]);
  const typically = (own) => [...own].sort((a, b) => sounds.score[a] - sounds.score[b]);
  // The sounds that were drawn at random and answered: of all sounds in random order, those before the first without an
  // answer. The nearest and farthest would be no fair sample.
  function drawn(number) {
    const own = randomly(said.of(number));
    const first = own.findIndex((n) => !said.now.answer[n]);
    return first < 0 ? own : own.slice(0, first);
  }
  function precision(number) {
    const heard = drawn(number);
    if (!heard.length) return "";
    const right = heard.filter((n) => said.now.answer[n] === "yes").length;
    const [low, high] = interval(right / heard.length, heard.length);
    return `${Math.round(100 * right / heard.length)} % of ${heard.length} heard at random are right (95 % interval: ${Math.round(100 * low)} to ${Math.round(100 * high)} %)`;
  }
  // Of all types: the nearest one of each, those whose labels would help most, and those farthest from their type.
  function overall() {
    const types = said.types().map((number) => said.of(number)).filter((own) => own.length);
    const best = types.map((own) => typically(own)[0]);
    const rest = typically(types.flat()).reverse();
    const asked = sounds.ask.filter((n) => !said.now.label[n]);
    return [...new Set([...best, ...asked, ...rest])].filter((n) => !said.now.answer[n]).slice(0, 3 * each);
  }
  function fill() {
    const open = said.of(type).filter((n) => !said.now.answer[n]);
    const kind = find("queue-kind").value;
    find("queue-kind").disabled = !type;
    const some = {
      nearest: () => typically(open).slice(0, each),
      random: () => randomly(open).slice(0, each),
      border: () => typically(open).slice(-each).reverse(),
    };
    queue = !type ? overall() : kind === "all" ? [...new Set([...some.nearest(), ...some.random(), ...some.border()])] : some[kind]();
    place = 0;
    show();
  }
  function tell() {
    find("precision").textContent = type ? precision(type) || "No sound of this type was heard at random yet." : "";
  }
  function show() {
    const n = queue[place];
    const box = find("queued");
    find("answers").hidden = n === undefined;
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
    box.replaceChildren(make("p", {}, `${place + 1} of ${queue.length}. Is this ${said.called(said.typeOf(n))}?`),
      make("div", { class: "picture" }, canvas, make("div", { class: "cursor", hidden: true })), play,
      make("p", { class: "keys" }, page.about(n).join(", "), page.canPlay(n) ? "" : ` (no sound: ${page.whyNot(n)})`));
    if (auto) page.play(n);
  }
  function answer(text) {
    const n = queue[place];
    if (n === undefined) return;
    auto = true;
    place += 1;
    if (text) said.change(`sound ${sounds.event[n]}: ${text}`, [[ANSWER, n, text]]);
    show();
  }
  find("answers").addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) answer(button.dataset.answer);
  });
  find("queue").addEventListener("keydown", (event) => {
    if (event.target.closest("select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
    const text = Object.keys(ANSWERS).find((each) => ANSWERS[each] === event.key);
    if (text) answer(text);
    else if (event.key === "p" && queue[place] !== undefined) page.play(queue[place]);
  });
  find("queue-type").addEventListener("input", () => { type = Number(find("queue-type").value); fill(); });
  find("queue-kind").addEventListener("input", fill);
  find("queue-next").addEventListener("click", () => { auto = true; fill(); });

  function refresh() {
    const types = said.types().filter((number) => said.of(number).length);
    const option = (number, text) => make("option", { value: number, selected: number === type }, text);
    find("queue-type").replaceChildren(option(0, "all types"), ...types.map((number) => option(number, said.called(number))));
    if (type && !types.includes(type)) { type = 0; fill(); }
    tell();
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
