// The map of sounds: similar sounds are near each other. Pointing describes a sound, a click plays it; a rectangle or a
// lasso selects.
const golden = 137.508; // degrees between the hues of successive types

function palette(size) { // colours that are readable on light and dark paper
  return Array.from({ length: size }, (_, i) => `hsl(${(205 + golden * i) % 360} ${i % 3 === 1 ? 45 : 70}% ${[50, 42, 58][i % 3]}%)`);
}

function soundMap(sounds, said, page) {
  const canvas = find("map");
  const grey = "#8a8f98";
  const near = 12; // pixels in which a sound is pointed at
  let colours = [], order = [], chosen = new Set(), current = -1;
  let drag = null; // what the pointer does, and where it was

  const size = () => [canvas.clientWidth, canvas.clientHeight];
  const placeOf = (n) => [sounds.place[2 * n] / 65535, sounds.place[2 * n + 1] / 65535];
  const zoom = mapZoom(canvas, () => draw());
  const at = (n) => zoom.pixels(...placeOf(n));

  // The values by which the sounds are coloured: an entry for each value, with a text and its sounds.
  function groups() {
    const by = find("colour").value;
    const value = {
      type: (n) => said.typeOf(n),
      label: (n) => said.now.label[n],
      hour: (n) => hourOf(sounds, n),
      site: (n) => sounds.sites[sounds.record[n]] || "",
    }[by];
    const text = {
      type: (key) => said.called(key),
      label: (key) => (key === REJECTED ? "not of interest" : key || "no label"),
      hour: (key) => (Number.isNaN(key) ? "no date" : `${key}:00`),
      site: (key) => key || "no site",
    }[by];
    const found = new Map();
    for (let n = 0; n < sounds.count; n += 1) {
      const key = by === "type" && said.now.label[n] === REJECTED ? -1 : value(n);
      if (!found.has(key)) found.set(key, []);
      found.get(key).push(n);
    }
    const keys = [...found.keys()].sort((a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b));
    const none = (key) => key === "" || key === REJECTED || Number.isNaN(key) || (by === "type" && key <= 0);
    const some = palette(Math.max(said.nextType(), keys.length));
    return keys.map((key, i) => ({
      text: text(key), own: found.get(key),
      colour: none(key) ? grey : by === "hour" ? `hsl(${(key * 15 + 240) % 360} 65% 50%)` : some[by === "type" ? key - 1 : i],
    }));
  }

  function colour() {
    const all = groups();
    colours = new Array(sounds.count);
    order = all.flatMap((group) => group.own); // changing the colour takes time
    for (const group of all) for (const n of group.own) colours[n] = group.colour;
    find("legend").replaceChildren(...all.map((group) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = group.colour;
      const button = make("button", { type: "button" }, swatch, `${group.text} `, make("span", {}, String(group.own.length)));
      button.addEventListener("click", () => page.choose(group.own, group.text));
      return make("li", {}, button);
    }));
    draw();
  }

  function draw() {
    const [width, height] = size();
    const dense = window.devicePixelRatio || 1;
    if (canvas.width !== Math.round(width * dense) || canvas.height !== Math.round(height * dense)) {
      [canvas.width, canvas.height] = [Math.round(width * dense), Math.round(height * dense)];
    }
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    context.clearRect(0, 0, width, height);
    const some = chosen.size > 0 && chosen.size < sounds.count;
    const isChosen = new Uint8Array(sounds.count);
    for (const n of chosen) isChosen[n] = 1;
    const radius = (sounds.count > 2000 ? 2 : sounds.count > 300 ? 3 : 4) * zoom.grown();
    for (const front of some ? [false, true] : [true]) { // the chosen ones are drawn last
      context.globalAlpha = front ? 0.9 : 0.4;
      let last = "";
      for (const n of order) {
        if (some && Boolean(isChosen[n]) !== front) continue;
        const [x, y] = at(n);
        if (x < -radius || y < -radius || x > width + radius || y > height + radius) continue;
        if (colours[n] !== last) context.fillStyle = last = colours[n];
        context.fillRect(x - radius, y - radius, 2 * radius, 2 * radius);
      }
    }
    context.globalAlpha = 1;
    context.strokeStyle = getComputedStyle(canvas).color;
    context.lineWidth = 2;
    if (current >= 0) {
      const [x, y] = at(current);
      context.beginPath();
      context.arc(x, y, radius + 5, 0, 7);
      context.stroke();
    }
    if (drag && drag.far && drag.how !== "move") {
      context.setLineDash([5, 4]);
      context.stroke(outline());
      context.setLineDash([]);
    }
  }

  function nearest(x, y, most) {
    let [best, least] = [-1, most ** 2];
    for (let n = 0; n < sounds.count; n += 1) {
      const [left, top] = at(n);
      const squares = (left - x) ** 2 + (top - y) ** 2;
      if (squares < least) [best, least] = [n, squares];
    }
    return best;
  }

  function point(n, aloud) {
    if (n === current) return;
    current = n;
    draw();
    const shown = find("pointed");
    if (aloud) shown.setAttribute("role", "status"); else shown.removeAttribute("role");
    if (n < 0) { shown.replaceChildren(); return; }
    const canvasOf = make("canvas", { "aria-hidden": "true" });
    drawPicture(canvasOf, sounds, n);
    shown.dataset.sound = n;
    shown.replaceChildren(make("div", { class: "picture" }, canvasOf, make("div", { class: "cursor", hidden: true })),
      make("p", {}, page.about(n).join(", "), page.canPlay(n) ? "" : ` (no sound: ${page.whyNot(n)})`));
    const enlarge = make("button", { type: "button" }, "Enlarge");
    enlarge.addEventListener("click", () => page.enlarge(n));
    shown.append(enlarge);
  }

  // The shape that is drawn, as a path: the trace of the pointer, or the rectangle from its first to its last point.
  function outline() {
    const [first, last] = [drag.trace[0], drag.trace.at(-1)];
    const corners = drag.how === "lasso" ? drag.trace : [first, [last[0], first[1]], last, [first[0], last[1]]];
    const path = new Path2D();
    for (const corner of corners) path.lineTo(...corner);
    path.closePath();
    return path;
  }
  function inside(path) {
    const context = canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    return Array.from(colours.keys()).filter((n) => context.isPointInPath(path, ...at(n), "evenodd"));
  }

  const place = (event) => [event.offsetX, event.offsetY];
  const stop = () => { drag = null; draw(); };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    const how = find("drag").value;
    drag = { how, trace: [place(event)], far: false };
    if (how !== "scroll") canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [x, y] = place(event);
    if (!drag) { point(nearest(x, y, near)); return; }
    if (zoom.isPinched()) { stop(); return; }
    const [before, first] = [drag.trace.at(-1), drag.trace[0]];
    drag.far ||= Math.hypot(x - first[0], y - first[1]) >= 5;
    if (drag.how === "scroll") return;
    drag.trace.push([x, y]);
    if (drag.how === "move") zoom.move(x - before[0], y - before[1]);
    else draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [x, y] = place(event);
    const { how, far } = drag;
    if (!far) {
      stop();
      point(nearest(x, y, 2 * near));
      if (current >= 0) page.play(current);
      return;
    }
    if (how === "move" || how === "scroll") { stop(); return; }
    drag.trace.push([x, y]);
    const found = inside(outline());
    drag = null;
    page.choose(event.shiftKey ? [...new Set([...chosen, ...found])] : found, "part of the map");
  });
  canvas.addEventListener("pointercancel", stop);
  canvas.addEventListener("dblclick", () => { if (current >= 0) page.enlarge(current); });
  canvas.addEventListener("pointerleave", () => { if (!drag && document.activeElement !== canvas) point(-1); });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [width, height] = size();
    if (step && event.shiftKey) {
      event.preventDefault();
      zoom.move(-step[0] * width / 8, -step[1] * height / 8);
    } else if (step) {
      event.preventDefault();
      point(current < 0 ? nearest(width / 2, height / 2, Infinity) : neighbour(step), true);
      zoom.reveal(...placeOf(current));
    } else if (zoom.key(event, current < 0 ? null : at(current))) event.preventDefault();
    else if (event.key === "Enter" && current >= 0) page.play(current);
    else if (event.key === "e" && current >= 0) page.enlarge(current);
    else if (event.key === " " && current >= 0) {
      event.preventDefault();
      const rest = [...chosen].filter((n) => n !== current);
      page.choose(chosen.has(current) ? rest : [...rest, current], "sounds of the map");
    }
  });
  function neighbour([right, down]) { // the nearest sound in a direction
    const [x, y] = at(current);
    let [best, least] = [current, Infinity];
    for (let n = 0; n < sounds.count; n += 1) {
      const [left, top] = at(n);
      const [along, across] = [(left - x) * right + (top - y) * down, Math.abs((left - x) * down) + Math.abs((top - y) * right)];
      if (along > 0.5 && across <= along && along + 2 * across < least) [best, least] = [n, along + 2 * across];
    }
    return best;
  }
  if (matchMedia("(pointer: coarse)").matches && !matchMedia("(pointer: fine)").matches) find("drag").value = "scroll";
  const drags = () => { canvas.style.touchAction = find("drag").value === "scroll" ? "pan-x pan-y" : "none"; };
  find("drag").addEventListener("input", drags);
  drags();
  find("colour").addEventListener("input", colour);
  new ResizeObserver(draw).observe(canvas);
  said.onChange(colour);
  colour();
  return { show(numbers) { chosen = new Set(numbers); draw(); } };
}
