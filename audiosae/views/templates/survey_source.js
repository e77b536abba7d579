// Labels that were saved since the survey wrote the page, which is told at its beginning; returns the names of types.
function withSaved(sounds, { labels, names, time }) {
  let changed = 0;
  for (const [event, type, label, answer] of labels.rows) {
    const n = sounds.numbered.get(event);
    if (n === undefined) continue;
    const before = sounds.given[n] || ["", ""];
    changed += label !== before[0] || answer !== before[1] || (type !== null && type !== sounds.type[n]);
    if (type !== null) sounds.type[n] = type;
    sounds.given[n] = [label, answer];
  }
  sounds.said = labels.version;
  if (changed) {
    const when = time ? ` on ${time}` : "";
    const text = `Labels, answers or types of ${counted(changed, "sound")} were saved${when}, after this survey. They are on this page; the tables and pictures of the survey have them after `;
    document.querySelector("header").append(make("p", { class: "note" }, text, make("code", {}, "audiosae survey … --labels labels.csv"), "."));
  }
  return !names.types || names.types === sounds.types ? names.of : {};
}

// Where the page gets sounds and where it saves tables. This source is the page itself: the excerpts that are in it, and
// downloads. If `audiosae open` serves the page, it is the server (survey_server.js), with the same members.
function soundSource(sounds) {
  if (find("server")) return servedSource(sounds);
  const saved = find("since") ? withSaved(sounds, read("since")) : {};
  const pieces = read("pieces");
  const piece = (n) => pieces[sounds.played.get(n)];
  return {
    names: saved,
    keeps: false, // whether labels are saved without the user
    canPlay: (n) => Boolean(piece(n)?.sound),
    whyNot: (n) => piece(n)?.fault || "not in this page, which has a limited size",
    fault: () => "", // why a sound could not be played just now
    // from: seconds in the file; slowed: how many times; highest: Hz that it has at most, as it is played
    sound: async (n) => ({ url: piece(n).sound, from: piece(n).low, slowed: piece(n).slowed, highest: 10500 }),
    save: async (name, text) => {
      const link = make("a", { download: name, href: URL.createObjectURL(new Blob([text], { type: "text/csv" })) });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      return `${name} is in the download folder of your browser`;
    },
  };
}
