"use strict";
// Functions that the scripts of all pages use.
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const find = (id) => document.getElementById(id);
let playing = null;

// Creates an element. Texts are added as text nodes, never as markup: file names may contain anything.
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== false) element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
const png = (data) => `data:image/png;base64,${data}`;

function stop() {
  if (playing) { playing.pause(); playing.currentTime = 0; }
}

// A button that plays and stops an audio element; `cursor` moves over the picture of the sound.
function player(source, label, cursor) {
  const audio = make("audio", { src: source, preload: "metadata" });
  const button = make("button", { type: "button", class: "play" });
  const show = (on) => {
    const action = on ? "Stop" : "Play";
    button.replaceChildren(make("span", { "aria-hidden": "true" }, on ? "■ " : "▶ "), action);
    button.setAttribute("aria-label", `${action}: ${label}`);
    if (cursor) cursor.hidden = !on;
  };
  show(false);
  const follow = () => {
    if (cursor && audio.duration) cursor.style.left = `${100 * audio.currentTime / audio.duration}%`;
    if (!audio.paused) requestAnimationFrame(follow);
  };
  audio.addEventListener("play", () => { playing = audio; show(true); follow(); });
  for (const end of ["pause", "ended"]) audio.addEventListener(end, () => show(false));
  button.addEventListener("click", () => {
    if (!audio.paused) { stop(); return; }
    stop();
    audio.currentTime = 0;
    audio.play();
  });
  return make("div", { class: "player" }, button, audio);
}

// A list entry of a window or event: the picture of its excerpt with a mark, its description (`rows`), and a player.
function moment(piece, window, name, rows) {
  const where = `${piece.file}, ${window.where}`;
  const what = piece.sound ? "sound" : "picture";
  const cursor = piece.sound ? make("div", { class: "cursor", hidden: true }) : null;
  let scene = null;
  if (piece.image) {
    const [left, top, width, height] = window.box;
    const mark = make("div", { class: "mark" });
    Object.assign(mark.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
    const kind = piece.sound ? "Spectrogram" : "Picture";
    scene = make("div", { class: `scene ${what}` },
      make("img", { src: png(piece.image), alt: `${kind} with a mark: ${where}` }), mark, cursor);
  }
  const numbers = window.numbers && make("table", { class: "numbers" }, make("caption", {}, "Largest values"),
    make("tbody", {}, ...window.numbers.map(([at, value]) => make("tr", {},
      make("th", { scope: "row" }, `dimension ${at}`), make("td", {}, value.toPrecision(4))))));
  const slower = piece.slowed > 1 ? `played ${piece.slowed} times slower` : "";
  return make("li", {}, scene,
    window.patch ? make("img", { class: "patch", src: png(window.patch), alt: `The window alone: ${where}` }) : null,
    make("p", {}, name ? `${name}. ` : "", make("span", { class: "file" }, piece.file)),
    ...rows.filter(Boolean).map((row) => make("p", {}, row)),
    slower ? make("p", {}, slower) : null,
    numbers || null,
    piece.sound ? player(piece.sound, name ? `number ${name}: ${where}` : where, cursor) : null,
    window.fault || piece.fault ? make("p", { class: "note" }, `Not available: ${window.fault || piece.fault}`) : null);
}
