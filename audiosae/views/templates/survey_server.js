// The page as `audiosae open` serves it: every sound is cut from its recording, tables are saved in the folder of the
// survey, and sounds are searched by example. The element `server` has what the server knew when it sent the page.
async function asked(name, how = {}) {
  const answer = await fetch(name, how).catch(() => null);
  if (!answer) throw new Error("the server does not answer; start audiosae open again and open its new address");
  if (!answer.ok) throw Object.assign(new Error((await answer.text()).trim()), { status: answer.status });
  return answer.json();
}

function servedSource(sounds) {
  const { labels, names, missing } = read("server");
  const faults = new Map(); // why sounds could not be played just now
  const versions = { "labels.csv": labels.version, "names.csv": names.version };
  const stretch = (n) => new URLSearchParams({ recording: fileOf(sounds, n), start: sounds.start[n], end: sounds.end[n] });
  return {
    keeps: true,
    names: withSaved(sounds, { labels, names }),
    canPlay: (n) => !(fileOf(sounds, n) in missing),
    whyNot: (n) => missing[fileOf(sounds, n)] || faults.get(n),
    fault: (n) => faults.get(n) || "",
    sound: async (n) => {
      try {
        const excerpt = await asked(`excerpt?${stretch(n)}`); // from, to, slowed and highest
        if (faults.delete(n)) [find("saved").textContent, find("view-none").hidden] = ["", true];
        return { url: `sound?${stretch(n)}`, ...excerpt };
      } catch (error) {
        faults.set(n, error.message);
        find("saved").textContent = find("view-none").textContent = `No sound: ${error.message}.`;
        find("view-none").hidden = false;
        return null;
      }
    },
    save: async (name, text) => {
      const headers = { "Content-Type": "text/csv", "If-Match": `"${versions[name]}"` };
      const { version, note } = await asked(name, { method: "PUT", headers, body: text });
      versions[name] = version;
      if (name === "labels.csv") sounds.said = version;
      return note;
    },
  };
}

function servedPage(sounds, said, page, { source, player, report }) {
  const { folder, no_search, missing } = read("server");
  const pause = 800; // ms from a change until it is saved
  let [timer, saving, stuck] = [0, false, false];
  let savedNames = said.isUnsaved() ? null : said.namesTable().text; // null: not known

  async function save() {
    clearTimeout(timer);
    if (saving) { later(); return; }
    saving = true;
    const part = said.copy();
    try {
      let note = await source.save("labels.csv", said.labelsTable());
      const { count, text } = said.namesTable();
      if (text !== savedNames && (count || savedNames)) {
        note = await source.save("names.csv", text) || note;
        savedNames = text;
      }
      said.saved(`Saved in ${folder}${note ? `, but ${note}` : ""}`, part);
    } catch (error) {
      stuck = error.status === 409; // each further try would fail
      report(`Not saved: ${error.message}. This browser keeps the changes${stuck ? "; load the page again to add them to the new table" : ""}.`);
    } finally { saving = false; }
  }
  function later() {
    clearTimeout(timer);
    if (said.isUnsaved() && !stuck) timer = setTimeout(save, pause);
  }
  said.onChange(later);
  later(); // changes of an earlier visit
  find("save").textContent = "Save now";
  find("save-names").hidden = true;
  const files = Object.keys(missing);
  if (files.length) document.querySelector("header").append(make("p", { class: "note" },
    `The sounds of ${counted(files.length, "recording")} cannot be played. ${files[0]}: ${missing[files[0]]}.`));
  find("box-terminal").hidden = !no_search; // the button does the same
  document.querySelector("footer > p:last-child").textContent = `Served by audiosae open from ${folder}. Sounds are cut from the recordings, normalised to the same peak level; ultrasound is slowed down.`;

  // Search: examples, and the sounds that are most similar to them, each of which can be an example, too.
  const tell = make("p", { role: "status", id: "search-status" }, no_search ? `No search: ${no_search}.`
    : "Mark sounds in the grid and choose “Find similar”, or draw a box on a spectrogram.");
  const [given, results] = [make("ol", { class: "windows", id: "search-examples" }), make("ol", { class: "windows", id: "search-results" })];
  const button = (id, text) => make("button", { type: "button", id }, text);
  const [again, select] = [button("search-again", "Search again with these answers"), button("search-select", "Show in the grid")];
  const section = make("section", { class: "whole", "aria-labelledby": "search-heading", id: "search" },
    make("h2", { id: "search-heading", tabindex: "-1" }, "Similar sounds"), tell, given, make("p", { class: "controls", id: "search-controls", hidden: true }, again, select), results,
    make("p", { class: "keys" }, "Answer some results with yes or no and search again: sounds like those with yes move up, sounds like those with no move down. “Show in the grid” selects the sounds with yes of all searches (without any, all results), so that you can name them."));
  find("queue").before(section);
  document.querySelector(".chips").append(" ", make("a", { href: "#search-heading" }, "Similar sounds"));
  const similar = button("similar", "Find similar");
  if (no_search) [similar.disabled, similar.title] = [true, no_search];
  find("actions").append(similar);

  player.audio.addEventListener("play", stop); // one sound at a time
  section.addEventListener("play", () => player.stop(), true);
  let [examples, wished, unwanted, found, answers, busy, first] = [[], [], [], [], new Map(), false, true]; // wished: answered with yes
  const band = () => { // answers are compared in the frequencies of the box
    const { low, high } = examples[0];
    return high === undefined ? {} : { low, high };
  };
  const answered = (text) => found.filter((_, i) => answers.get(i) === text).map((each) => ({ ...each, ...band() }));

  async function search(like, unlike) {
    if (busy) { tell.textContent = "Wait until the search has finished."; return; }
    if (no_search) { tell.textContent = `No search: ${no_search}.`; return; }
    busy = true;
    tell.textContent = `Searching …${first ? " The first search reads all recordings, which may take minutes; the terminal shows the progress." : ""}`;
    section.setAttribute("aria-busy", "true");
    player.stop();
    stop();
    try {
      const body = JSON.stringify({ like, unlike });
      const result = await asked("search", { method: "POST", headers: { "Content-Type": "application/json" }, body });
      [found, answers, first] = [result.stretches, new Map(), false];
      show(result);
    } catch (error) {
      tell.textContent = `No result: ${error.message}.`;
    } finally {
      busy = false;
      section.removeAttribute("aria-busy");
    }
  }
  function show({ items, pieces, notes }) {
    given.replaceChildren(...items.examples.map((window, i) => moment(pieces[window.piece], window, `Example ${i + 1}`,
      [window.liked ? "wanted" : "unwanted", window.where, window.hz])));
    results.replaceChildren(...items.matches.map((window, i) => {
      const item = moment(pieces[window.piece], window, `${i + 1}`, [window.where, window.time, window.hz, `similarity ${window.similarity.toFixed(3)}`]);
      item.append(make("div", { class: "buttons", role: "group", "aria-label": `Is sound ${i + 1} one that you want?` },
        ...["yes", "no"].map((text) => make("button", { type: "button", "aria-pressed": "false", "data-wanted": text, "data-match": i }, text === "yes" ? "Yes" : "No"))));
      return item;
    }));
    find("search-controls").hidden = !items.matches.length;
    tell.textContent = [`${counted(items.matches.length, "sound")}, the most similar first.`, ...notes.map((note) => `${note}.`)].join(" ");
  }
  results.addEventListener("click", (event) => {
    const pressed = event.target.closest("[data-wanted]");
    if (!pressed) return;
    const at = Number(pressed.dataset.match);
    const text = answers.get(at) === pressed.dataset.wanted ? "" : pressed.dataset.wanted;
    answers.set(at, text);
    for (const each of results.querySelectorAll(`[data-match="${at}"]`)) each.setAttribute("aria-pressed", each.dataset.wanted === text);
  });
  const open = (stretches) => {
    [examples, wished, unwanted, found, answers] = [stretches, [], [], [], new Map()];
    find("search-heading").scrollIntoView({ block: "start" });
    find("search-heading").focus({ preventScroll: true });
    search(examples, []);
  };
  again.addEventListener("click", () => {
    wished = [...wished, ...answered("yes")];
    unwanted = [...unwanted, ...answered("no")];
    search([...examples, ...wished], unwanted);
  });
  select.addEventListener("click", () => {
    const yes = [...wished, ...answered("yes")];
    const wanted = yes.length ? yes : found;
    const own = Array.from(sounds.event.keys()).filter((n) => wanted.some((each) => each.recording === fileOf(sounds, n)
      && each.start < sounds.end[n] && each.end > sounds.start[n]));
    page.open(own, "similar sounds");
  });
  similar.addEventListener("click", () => {
    open(page.targets().slice(0, 10).map((n) => ({ recording: fileOf(sounds, n), start: sounds.start[n], end: sounds.end[n] })));
  });
  // A box that is drawn in a dialog is searched for when the user says so: it may be changed before.
  let drawn = null;
  const wanted = button("search-box", "Find similar sounds");
  wanted.addEventListener("click", () => {
    wanted.closest("dialog").close();
    open([drawn]);
  });
  document.addEventListener("audiosae:box", (event) => {
    const { recording, start, end, low, high } = event.detail;
    drawn = { recording, start, end, low, high };
    const dialog = document.querySelector("dialog[open]");
    if (!dialog) open([drawn]);
    else (dialog.querySelector("fieldset .controls") || dialog).append(wanted);
  });
  return { save };
}
