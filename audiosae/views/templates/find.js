(() => {
  const pieces = read("pieces");
  const { examples, matches } = read("items");
  examples.forEach((window, number) => find("query").append(moment(pieces[window.piece], window, `${number + 1}`,
    [window.liked ? "wanted" : "unwanted", window.where, window.hz])));
  matches.forEach((window, rank) => find("found").append(moment(pieces[window.piece], window, `${rank + 1}`,
    [window.where, window.time, window.hz, `similarity ${window.similarity.toFixed(3)}`,
      window.like ? `like example ${window.like}` : ""].filter(Boolean))));
})();
