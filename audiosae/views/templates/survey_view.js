// The larger view of one sound: its spectrogram with axes, and a box in time and frequency that can be drawn on it. Each
// box that is drawn is told as an event "audiosae:box" of the document, for programs that search for similar sounds.
function soundView(sounds, said, page) {
  const dialog = find("view"), canvas = find("view-canvas"), cursor = find("view-cursor");
  const axis = frequencyAxis(sounds.scale.bands);
  const [margin, foot, tall] = [56, 26, 320]; // pixels left of the spectrogram and below it, and its height
  const edges = ["start", "end", "low", "high"];
  const recalled = "audiosae command"; // key of what was entered for the command
  let [current, list, range, image, box, drawn] = [-1, [], null, null, null, null];

  const width = () => Math.max(canvas.clientWidth - margin - 8, 50);
  const xOf = (seconds) => margin + width() * (seconds - range.from) / range.seconds;
  const yOf = (hertz) => tall * (1 - axis.share(hertz));
  const secondsOf = (x) => range.from + range.seconds * Math.min(Math.max((x - margin) / width(), 0), 1);
  const hertzAt = (y) => axis.hertz(1 - Math.min(Math.max(y / tall, 0), 1));
  const ownBox = (n) => ({ start: sounds.start[n], end: sounds.end[n], low: sounds.hz[2 * n], high: sounds.hz[2 * n + 1] });

  // The picture of the grid, which has few pixels, as far as it goes; then the spectrogram of what can be heard.
  async function load(n) {
    const picture = sounds.picture.get(n);
    range = picture ? { from: picture.from, seconds: picture.width * sounds.scale.pixel } : null;
    let [heard, sound] = [null, null];
    if (page.canPlay(n)) {
      heard = await page.sound(n);
      sound = heard && await samplesOf(heard, axis.high).catch(() => null); // a format that the browser does not decode
    }
    if (n !== current) return;
    const small = picture && await sounds.sheet(picture.sheet);
    if (sound) range = { from: heard.from, seconds: sound.samples.length / sound.rate };
    if (!range) { image = null; return; }
    image = make("canvas");
    [image.width, image.height] = [Math.round(width()), tall];
    const context = image.getContext("2d");
    const top = sound && heard.highest ? Math.min(heard.highest * (heard.slowed || 1), axis.high) : axis.high;
    if (sound) {
      const brief = sounds.end[n] - sounds.start[n] < 0.2;
      context.putImageData(spectrogram(sound, axis, image.width, tall, { brief, slowed: heard.slowed }), 0, 0);
    }
    const above = sound ? Math.round(tall * (1 - axis.share(top))) : tall; // the sound of the page ends there
    if (small && above > 0) {
      const column = image.width / range.seconds;
      context.save();
      context.beginPath();
      context.rect(0, 0, image.width, above);
      context.clip();
      context.fillRect(0, 0, image.width, above);
      context.drawImage(small, picture.x, picture.y, picture.width, sounds.scale.height, column * (picture.from - range.from), 0,
        column * picture.width * sounds.scale.pixel, tall);
      context.restore();
    }
  }

  // Frequencies with a line: those of the grid, and round ones between them.
  const ticks = sounds.scale.ticks.map(([hertz]) => hertz);
  for (const digits of [[1], [2, 5], [3, 4, 6, 8]]) {
    for (const hertz of [10, 100, 1000, 10000, 100000].flatMap((power) => digits.map((digit) => digit * power))) {
      const apart = ticks.map((other) => Math.abs(yOf(other) - yOf(hertz)));
      if (hertz >= axis.low && hertz <= axis.high && Math.min(...apart) >= 30) ticks.push(hertz);
    }
  }
  const steps = (least) => [1, 2, 5].map((each) => each * 10 ** Math.floor(Math.log10(least))).find((each) => each >= least) || 10 ** Math.ceil(Math.log10(least));
  function drawAxes(context, colour) {
    context.fillStyle = context.strokeStyle = colour;
    context.lineWidth = 1;
    context.font = "12px system-ui, sans-serif";
    context.textAlign = "right";
    context.textBaseline = "middle";
    const line = (...points) => { context.beginPath(); for (const point of points) context.lineTo(...point); context.stroke(); };
    for (const hertz of ticks) {
      const y = yOf(hertz);
      line([margin - 5, y], [margin, y]);
      context.fillText(hertz.toLocaleString("en"), margin - 8, Math.max(y, 7));
    }
    context.textAlign = "left";
    context.fillText("Hz", 2, 8);
    context.textAlign = "center";
    const step = steps(range.seconds * 80 / width());
    const digits = Math.max(0, -Math.floor(Math.log10(step)));
    for (let i = Math.ceil(range.from / step); i * step <= range.from + range.seconds; i += 1) {
      const x = xOf(i * step);
      line([x, tall], [x, tall + 5]);
      if (x < margin + width() - 30) context.fillText((i * step).toFixed(digits), x, tall + 15);
    }
    context.textAlign = "right";
    context.fillText("s", margin + width(), tall + 15);
    context.strokeRect(margin - 0.5, 0.5, width() + 1, tall);
  }
  function draw() {
    const dense = window.devicePixelRatio || 1;
    const size = [canvas.clientWidth * dense, (tall + foot) * dense].map(Math.round);
    if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, canvas.clientWidth, tall + foot);
    if (!range) return;
    if (image) context.drawImage(image, margin, 0, width(), tall);
    drawAxes(context, getComputedStyle(canvas).color);
    const frame = (each, dashes) => {
      context.setLineDash(dashes);
      context.strokeRect(xOf(each.start), yOf(each.high), xOf(each.end) - xOf(each.start), yOf(each.low) - yOf(each.high));
      context.setLineDash([]);
    };
    context.save();
    context.beginPath();
    context.rect(margin, 0, width(), tall);
    context.clip();
    context.lineWidth = 1.5;
    context.strokeStyle = "#00e5ff";
    frame(ownBox(current), [4, 3]);
    context.lineWidth = 2.5;
    context.strokeStyle = "#fff";
    if (drawn) frame(box, []);
    context.restore();
    cursor.dataset.from = range.from;
    cursor.dataset.seconds = range.seconds;
  }

  // The command that searches for what is in the box.
  const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `"${text.replace(/["\\$`]/g, "\\$&")}"`);
  function command() {
    const folder = find("box-folder").value.trim() || "RECORDINGS";
    const name = fileOf(sounds, current);
    const file = sounds.folder === null ? name : `${folder.replace(/\/+$/, "")}/${name}`;
    const number = (value, digits) => String(Number(value.toFixed(digits)));
    const like = `${file}@${number(box.start, 4)}-${number(box.end, 4)}:${number(box.low, 0)}-${number(box.high, 0)}`;
    return `audiosae find ${quoted(find("box-model").value.trim() || "MODEL")} ${quoted(folder)} --like ${quoted(like)} -o like.html`;
  }
  function showBox() {
    for (const edge of edges) find(`box-${edge}`).value = Number(box[edge].toFixed(edge === "low" || edge === "high" ? 0 : 4));
    find("box-command").textContent = command();
    find("box-copied").textContent = "";
    draw();
  }
  function tell() {
    const detail = { recording: fileOf(sounds, current), ...box };
    document.dispatchEvent(new CustomEvent("audiosae:box", { detail }));
  }
  // A box from two corners; at least as large as `find` compares.
  function between(x, y, otherX, otherY) {
    const [start, end] = [secondsOf(Math.min(x, otherX)), secondsOf(Math.max(x, otherX))];
    const [low, high] = [hertzAt(Math.max(y, otherY)), hertzAt(Math.min(y, otherY))];
    const fine = (value) => Number(value.toFixed(4)); // as in the tables
    return { start: fine(start), end: fine(Math.max(end, start + 0.01)), low: Math.round(low), high: Math.max(Math.round(high), Math.round(low) + 1) };
  }

  let from = null;
  const place = (event) => [event.offsetX, event.offsetY];
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || !range) return;
    canvas.setPointerCapture(event.pointerId);
    from = place(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!from) return;
    const [x, y] = place(event);
    if (!drawn && Math.hypot(x - from[0], y - from[1]) < 5) return;
    [box, drawn] = [between(...from, x, y), true];
    showBox();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!from) return;
    const [x, y] = place(event);
    if (Math.hypot(x - from[0], y - from[1]) < 5) page.play(current); else tell();
    from = null;
  });
  canvas.addEventListener("pointercancel", () => { from = null; });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step || !range || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [x, y] = [step[0] * width() / 100, step[1] * tall / 50];
    const [left, right, top, bottom] = [xOf(box.start), xOf(box.end), yOf(box.high), yOf(box.low)];
    const resized = event.shiftKey;
    box = between(resized ? left : left + x, resized ? bottom : bottom + y, Math.max(right + x, left + 1), Math.min(top + y, bottom - 1));
    drawn = true;
    showBox();
    tell();
  });
  for (const edge of edges) {
    find(`box-${edge}`).addEventListener("change", () => {
      const next = { ...box, [edge]: Number(find(`box-${edge}`).value) };
      const possible = next.start >= 0 && next.end - next.start >= 0.01 && next.low >= 0 && next.high > next.low;
      if (possible) [box, drawn] = [next, true];
      showBox();
      if (possible) tell();
      else find("box-copied").textContent = "The start is before the end, by 0.01 s or more, and the lower frequency below the higher.";
    });
  }

  async function show(n) {
    page.stop();
    current = n;
    [box, drawn, image, range] = [ownBox(n), false, null, null];
    box.end = Math.max(box.end, box.start + 0.01);
    find("view-picture").dataset.sound = n;
    refresh();
    await load(n);
    if (n !== current) return;
    showBox();
    const why = image && page.canPlay(n) ? page.fault(n) : page.whyNot(n);
    find("view-none").hidden = Boolean(image) && !why;
    find("view-none").textContent = why ? `${image ? "No sound" : "No picture"}: ${why}.` : "";
  }
  function refresh() {
    if (current < 0) return;
    find("view-heading").textContent = `Sound ${sounds.event[current]}`;
    find("view-about").textContent = page.about(current).slice(1).join(", ");
    const play = find("view-play");
    play.disabled = !page.canPlay(current);
    if (!document.querySelector("#view-picture.playing")) page.label(play, current, false);
    const at = list.indexOf(current);
    find("view-place").textContent = list.length > 1 ? `${at + 1} of ${list.length}` : "";
    find("view-before").disabled = at <= 0;
    find("view-next").disabled = at < 0 || at === list.length - 1;
  }
  const go = (by) => { const next = list[list.indexOf(current) + by]; if (next !== undefined) show(next); };
  find("view-before").addEventListener("click", () => go(-1));
  find("view-next").addEventListener("click", () => go(1));
  find("view-play").addEventListener("click", () => page.play(current));
  find("view-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => { page.stop(); current = -1; delete find("view-picture").dataset.sound; });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.closest("input") || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "p") page.play(current);
    else if (event.key === "PageDown" || event.key === "PageUp") { event.preventDefault(); go(event.key === "PageDown" ? 1 : -1); }
  });
  find("view-naming").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = find("view-label").value.trim();
    if (!text || text === REJECTED) return;
    said.change(`sound ${sounds.event[current]} named ${text}`, [[LABEL, current, text]]);
    find("view-label").value = "";
  });
  said.onChange(refresh);
  new ResizeObserver(() => { if (dialog.open && range) load(current).then(draw); }).observe(canvas);

  for (const [id, given] of [["box-model", ""], ["box-folder", sounds.folder || ""]]) {
    try { find(id).value = JSON.parse(localStorage.getItem(recalled) || "{}")[id] || given; } catch { find(id).value = given; }
    find(id).addEventListener("input", () => {
      find("box-command").textContent = command();
      try {
        localStorage.setItem(recalled, JSON.stringify({ "box-model": find("box-model").value, "box-folder": find("box-folder").value }));
      } catch { /* it is only not remembered */ }
    });
  }
  find("box-copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText(command()).then(() => { find("box-copied").textContent = "Copied."; }, () => {
      getSelection().selectAllChildren(find("box-command"));
      find("box-copied").textContent = "The browser copies nothing for this page: the command is selected, press Ctrl+C.";
    });
  });
  return {
    open(n, numbers) {
      list = numbers.includes(n) ? numbers : [n];
      if (!dialog.open) dialog.showModal();
      find("view-heading").focus();
      return show(n);
    },
  };
}
