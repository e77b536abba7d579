// Where the page gets sounds and where it saves tables. This source is the page itself: the excerpts that are in it, and
// downloads. If `audiosae open` serves the page, it is the server (survey_server.js), with the same members.
function soundSource(sounds) {
  if (find("server")) return servedSource(sounds);
  const pieces = read("pieces");
  const piece = (n) => pieces[sounds.played.get(n)];
  return {
    keeps: false, // whether labels are saved without the user
    canPlay: (n) => Boolean(piece(n)?.sound),
    whyNot: (n) => piece(n)?.fault || "not in this page, which has a limited size",
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
