(() => {
  const pieces = read("pieces");
  const [query, ...matches] = read("items");
  for (const window of query) find("query").append(moment(pieces[window.piece], window, "", [window.where]));
  matches.flat().forEach((window, rank) => find("found").append(moment(pieces[window.piece], window, `${rank + 1}`,
    [window.where, window.hz, `similarity ${window.similarity.toFixed(3)}`])));
})();
