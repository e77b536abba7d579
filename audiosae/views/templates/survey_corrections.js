// What a person says about the sounds of a survey: labels, types, answers, and names of types; with undo and redo.
const LABEL = "label", TYPE = "type", ANSWER = "answer", NAME = "name";

function corrections(sounds, kinds) {
  const given = (part) => Array.from({ length: sounds.count }, (_, n) => sounds.given[n]?.[part] || "");
  const initial = { label: given(0), type: Array.from(sounds.type), answer: given(1), name: { ...kinds } };
  const now = structuredClone(initial);
  let base = initial; // changes since then are stored in the browser
  const last = Math.max(0, ...Object.keys(kinds).map(Number)); // further types are new
  const past = [], future = [], heard = [];
  const key = `audiosae ${sounds.digest}`;
  let [stored, unsaved] = [true, false];

  let byType = null; // the sounds of each type that are of interest
  function set(entries, at) {
    for (const entry of entries) now[entry.field][entry.key] = entry[at];
    byType = null;
  }
  function sorted() {
    const found = new Map();
    now.type.forEach((type, n) => {
      if (now.label[n] === REJECTED) return;
      if (!found.has(type)) found.set(type, []);
      found.get(type).push(n);
    });
    return found;
  }
  const tell = (text) => { for (const each of heard) each(text); };
  function changesSince(before) {
    const changed = [];
    for (const field of [LABEL, TYPE, ANSWER, NAME]) {
      for (const [at, value] of Object.entries(now[field])) {
        if (value !== (before[field][at] ?? "")) changed.push([field, at, value]);
      }
    }
    return changed;
  }
  function keep() {
    try {
      localStorage.setItem(key, JSON.stringify({ changed: changesSince(base), unsaved, said: sounds.said }));
      stored = true;
    } catch { stored = false; } // the browser stores nothing for this page, or no more
  }
  try {
    const before = JSON.parse(localStorage.getItem(key)) || { changed: [] };
    unsaved = Boolean(before.unsaved);
    const current = unsaved || before.said === sounds.said; // else they were saved, and this survey has what was said since
    for (const [field, at, value] of before.changed) {
      if (now[field] && (current || (field === NAME && !initial.name[at]))) now[field][at] = value;
    }
  } catch { stored = false; }

  // As audiosae.system.files.cell: a spreadsheet evaluates no cell that begins with an apostrophe.
  const formula = /^[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]/;
  const number = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;
  const quoted = (text) => `"${formula.test(text) && !number.test(text) ? "'" : ""}${text.replaceAll('"', '""')}"`;
  const table = (rows) => `${rows.join("\n")}\n`;
  // New types are numbered without gaps after the others.
  function renumbered() {
    const added = [...new Set(now.type)].filter((type) => type > last).sort((a, b) => a - b);
    const of = new Map(added.map((type, i) => [type, last + 1 + i]));
    return (type) => of.get(type) ?? type;
  }

  // In the table, the answer to a sound with a label is about the label. Here the question was about the type, and a
  // label that was given since says more than "no".
  function answerOf(n) {
    const same = now.label[n] === initial.label[n] && now.answer[n] === initial.answer[n];
    return same || !now.label[n] || now.answer[n] === "yes" ? now.answer[n] : "";
  }

  return {
    now, last,
    typeOf: (n) => now.type[n],
    nameOf: (type) => (now.name[type] || "").trim(),
    called(type) { return type > 0 ? `type ${type} ${this.nameOf(type)}`.trim() : type < 0 ? "not of interest" : "no type"; },
    of(type) {
      byType ??= sorted();
      return byType.get(type) || [];
    },
    types: () => [...new Set([...Object.keys(kinds).map(Number), ...now.type.filter((type) => type > 0)])].sort((a, b) => a - b),
    labels: () => [...new Set(now.label.filter((label) => label && label !== REJECTED))].sort(),
    nextType: () => now.type.reduce((most, type) => Math.max(most, type), last) + 1,
    isStored: () => stored,
    isUnsaved: () => unsaved,
    onChange: (call) => heard.push(call),
    // Changes entries [field, key, value] together; `text` says what is done.
    change(text, entries) {
      const step = entries.map(([field, at, value]) => ({ field, key: at, before: now[field][at] ?? "", after: value }))
        .filter((entry) => entry.before !== entry.after);
      if (!step.length) return false;
      const same = past.at(-1);
      if (same && step.length === 1 && step[0].field === NAME && same.step.length === 1 && same.step[0].field === NAME
        && same.step[0].key === step[0].key) same.step[0].after = step[0].after; // letters of one name are one step
      else past.push({ text, step });
      future.length = 0;
      set(step, "after");
      unsaved = true;
      keep();
      tell(text);
      return true;
    },
    undo() {
      const done = past.pop();
      if (!done) return;
      future.push(done);
      set(done.step, "before");
      unsaved = true;
      keep();
      tell(`Undone: ${done.text}`);
    },
    redo() {
      const done = future.pop();
      if (!done) return;
      past.push(done);
      set(done.step, "after");
      unsaved = true;
      keep();
      tell(`Done again: ${done.text}`);
    },
    canUndo: () => past.length,
    canRedo: () => future.length,
    copy: () => structuredClone(now),
    // `part` is what was saved, if it was saved in place of what the page began with.
    saved(text, part = null) {
      if (part) base = part;
      unsaved = part !== null && changesSince(part).length > 0;
      keep();
      tell(text);
    },
    labelsTable() {
      const type = renumbered();
      return table(["event,file,start,end,type,label,answer", ...Array.from(sounds.event, (event, n) => [
        event, quoted(fileOf(sounds, n)), sounds.start[n], sounds.end[n], now.type[n] < 0 ? "" : type(now.type[n]),
        now.label[n] && now.label[n] !== REJECTED ? quoted(now.label[n]) : now.label[n], answerOf(n)].join(","))]);
    },
    namesTable() {
      const type = renumbered();
      const named = Object.keys(now.name).map(Number).filter((each) => this.nameOf(each) && (each <= last || type(each) !== each || now.type.includes(each)));
      return { count: named.length, text: table(["type,name,survey", ...named.map((each) => `${type(each)},${quoted(this.nameOf(each))},${sounds.types}`)]) };
    },
  };
}
