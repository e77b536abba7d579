"use strict";
// What the scripts of all pages share.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const find = (id) => document.getElementById(id);
let playing = null;

// Text goes in as text, never as markup: file names may hold anything.
function make(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}
const png = (data) => `data:image/png;base64,${data}`;

function stop() {
  if (playing) { playing.pause(); playing.currentTime = 0; }
}

// A real button beside an audio element; `cursor` runs over the picture of what is heard.
function player(source, label, cursor, verb = "Play") {
  const audio = make("audio", { src: source, preload: "metadata" });
  const button = make("button", { type: "button", class: "play" });
  const told = (on) => {
    const now = on ? "Stop" : verb;
    button.replaceChildren(make("span", { "aria-hidden": "true" }, on ? "■ " : "▶ "), now);
    button.setAttribute("aria-label", `${now}: ${label}`);
    if (cursor) cursor.hidden = !on;
  };
  told(false);
  const follow = () => {
    if (cursor && audio.duration) cursor.style.left = `${100 * audio.currentTime / audio.duration}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => { playing = audio; told(true); follow(); });
  for (const end of ["pause", "ended"]) audio.addEventListener(end, () => told(false));
  button.addEventListener("click", () => {
    if (!audio.paused) { stop(); return; }
    stop();
    audio.currentTime = 0;
    audio.play();
  });
  return make("div", { class: "player" }, button, audio);
}

// A moment of a source: its surroundings as a picture with the moment marked, what is told of it, and a player.
function moment(piece, window, name, rows) {
  const where = `${piece.file}, ${window.where}`;
  const what = piece.sound ? "sound" : "picture";
  const cursor = piece.sound ? make("div", { class: "cursor", hidden: true }) : null;
  let scene = null;
  if (piece.image) {
    const [left, top, width, height] = window.box;
    const mark = make("div", { class: "mark" });
    Object.assign(mark.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
    const drawn = piece.sound ? "Spectrogram of the surroundings" : "The picture";
    scene = make("div", { class: `scene ${what}` },
      make("img", { src: png(piece.image), alt: `${drawn}: ${where} is marked` }), mark, cursor);
  }
  const numbers = window.numbers && make("table", { class: "numbers" }, make("caption", {}, "Its largest numbers"),
    make("tbody", {}, ...window.numbers.map(([at, value]) => make("tr", {},
      make("th", { scope: "row" }, `dimension ${at}`), make("td", {}, value.toPrecision(4))))));
  const slower = piece.slowed > 1 ? `played ${piece.slowed} times slower` : "";
  return make("li", {}, scene,
    window.patch ? make("img", { class: "patch", src: png(window.patch), alt: `The window itself: ${where}` }) : null,
    make("p", {}, name ? `${name}. ` : "", make("span", { class: "file" }, piece.file)),
    ...rows.filter(Boolean).map((row) => make("p", {}, row)),
    slower ? make("p", {}, slower) : null,
    numbers || null,
    piece.sound ? player(piece.sound, name ? `number ${name}: ${where}` : where, cursor) : null,
    window.fault || piece.fault ? make("p", { class: "note" }, `Cannot be had: ${window.fault || piece.fault}`) : null);
}
