// The sounds of a survey as numbers from 0: columns, spectrograms on sheets, and where they can be heard.
const unpack = (text, Type) => new Type(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
const REJECTED = "-"; // label of a sound that is not of interest

function readSounds() {
  const { events, pictures, played, hours, best } = read("items");
  const kinds = { event: Uint32Array, record: Uint32Array, start: Float64Array, end: Float64Array, type: Int16Array,
    score: Float32Array, peak: Float32Array, hz: Uint32Array, place: Uint16Array, code: Int8Array, order: Uint32Array };
  const sounds = { ...events, hours, best };
  for (const [name, Type] of Object.entries(kinds)) sounds[name] = unpack(events[name], Type);
  sounds.time = events.time === null ? null : unpack(events.time, Float64Array); // local time, s since 1970
  sounds.classified = events.classified && unpack(events.classified, Int32Array); // numbers of `names`, -1: none
  sounds.confidence = events.confidence && unpack(events.confidence, Float32Array);
  const of = unpack(pictures.of, Uint32Array);
  const at = unpack(pictures.at, Uint16Array);
  const left = unpack(pictures.from, Float64Array);
  const images = [];
  sounds.picture = new Map();
  for (let i = 0; i < pictures.shown; i += 1) {
    const [sheet, x, y, width] = at.subarray(4 * i, 4 * i + 4);
    sounds.picture.set(of[i], { sheet, x, y, width, from: left[i] });
  }
  sounds.played = new Map(played.map((piece, i) => [of[i], piece]));
  sounds.scale = { height: pictures.height, pixel: pictures.pixel, stretch: pictures.stretch, ticks: pictures.ticks, bands: pictures.bands };
  sounds.columns = (n) => (sounds.picture.has(n) ? sounds.picture.get(n).width * pictures.stretch : 40); // width of a picture
  sounds.surveyed = { type: sounds.type.slice(), given: { ...sounds.given } }; // without what was saved since
  sounds.numbered = new Map(Array.from(sounds.event, (number, i) => [number, i]));
  // The sheet with a number, as an image that is decoded.
  sounds.sheet = (number) => {
    if (!images[number]) {
      const image = new Image();
      image.src = png(pictures.sheets[number]);
      images[number] = image.decode().then(() => image);
    }
    return images[number];
  };
  return sounds;
}

const two = (number) => String(number).padStart(2, "0");
function clock(seconds, digits) {
  const parts = Math.round(seconds * 10 ** digits);
  const [minutes, rest] = [Math.floor(parts / (60 * 10 ** digits)), (parts % (60 * 10 ** digits)) / 10 ** digits];
  const [hours, minute] = [Math.floor(minutes / 60), minutes % 60];
  if (!minutes) return `${rest.toFixed(digits)} s`;
  return `${hours ? `${hours}:${two(minute)}` : minute}:${rest.toFixed(digits).padStart(3 + digits, "0")}`;
}
const lasting = (seconds) => (seconds < 0.1 ? `${Math.round(1000 * seconds)} ms` : `${seconds.toFixed(2)} s`);
const counted = (number, what) => `${number.toLocaleString("en")} ${what}${number === 1 ? "" : "s"}`;

// Texts about a sound.
const fileOf = (sounds, n) => sounds.files[sounds.record[n]];
const whereOf = (sounds, n) => `${clock(sounds.start[n], 2)} to ${clock(sounds.end[n], 2)}`;
const hertzOf = (sounds, n) => `${sounds.hz[2 * n].toLocaleString("en")}–${sounds.hz[2 * n + 1].toLocaleString("en")}\u00a0Hz`;
function timeOf(sounds, n) {
  if (!sounds.time || Number.isNaN(sounds.time[n])) return "";
  return new Date(1000 * Math.floor(sounds.time[n])).toISOString().slice(0, 19).replace("T", " ");
}
// What the survey says a sound is, from the labels of other sounds, and how likely it is.
function guessOf(sounds, n) {
  const name = sounds.classified ? sounds.names[sounds.classified[n]] : "";
  if (!name || !(sounds.confidence[n] < 1)) return "";
  return `probably ${name === REJECTED ? "not of interest" : name} (${sounds.confidence[n].toFixed(2)})`;
}
const hourOf = (sounds, n) => (sounds.time ? Math.floor(sounds.time[n] / 3600) % 24 : NaN);

// Plays one sound at a time. While it plays, the elements that show it have the class playing, and their cursor moves.
function soundPlayer(sounds, source) {
  const audio = new Audio();
  let [current, heard, turn] = [-1, null, 0];
  const shown = (n) => document.querySelectorAll(`[data-sound="${n}"]`);
  const show = (on) => {
    for (const element of shown(current)) {
      element.classList.toggle("playing", on);
      for (const button of element.querySelectorAll(".play")) label(button, current, on);
      if (!on) for (const cursor of element.querySelectorAll(".cursor")) cursor.hidden = true;
    }
  };
  const label = (button, n, on) => {
    button.replaceChildren(make("span", { "aria-hidden": "true" }, on ? "■" : "▶"));
    button.setAttribute("aria-label", `${on ? "Stop" : "Play"} sound ${sounds.event[n]}`);
  };
  const follow = () => {
    const picture = sounds.picture.get(current);
    const time = heard.from + audio.currentTime / (heard.slowed || 1);
    for (const cursor of document.querySelectorAll(`[data-sound="${current}"] .cursor`)) {
      const [from, seconds] = cursor.dataset.from ? [Number(cursor.dataset.from), Number(cursor.dataset.seconds)]
        : picture ? [picture.from, picture.width * sounds.scale.pixel] : [time + 1, 1];
      const share = (time - from) / seconds;
      cursor.style.left = `${100 * share}%`;
      cursor.hidden = share < 0 || share > 1;
    }
    if (!audio.paused) requestAnimationFrame(follow); else show(false);
  };
  for (const end of ["pause", "ended"]) audio.addEventListener(end, () => { if (audio.paused) show(false); });
  audio.addEventListener("play", () => { show(true); follow(); });
  return {
    audio,
    label,
    stop: () => audio.pause(),
    play: async (n) => {
      audio.pause();
      show(false);
      if (!source.canPlay(n)) return false;
      turn += 1;
      const own = turn;
      const sound = await source.sound(n);
      if (!sound || own !== turn) return false; // another one was chosen meanwhile
      [heard, current] = [sound, n];
      audio.src = heard.url;
      await audio.play().catch(() => {}); // stopped before it began
      return true;
    },
    toggle(n) { return current === n && !audio.paused ? this.stop() : this.play(n); },
  };
}

// Draws the spectrogram of a sound with its box and the lines of the frequency axis.
async function drawPicture(canvas, sounds, n) {
  const picture = sounds.picture.get(n);
  const { height, pixel, ticks } = sounds.scale;
  const scale = 2;
  canvas.width = Math.round(scale * sounds.columns(n));
  canvas.height = scale * height;
  canvas.style.setProperty("--columns", sounds.columns(n));
  if (!picture) return;
  const image = await sounds.sheet(picture.sheet);
  const context = canvas.getContext("2d");
  context.drawImage(image, picture.x, picture.y, picture.width, height, 0, 0, canvas.width, canvas.height);
  context.strokeStyle = "rgb(255 255 255 / 25%)";
  context.lineWidth = 1;
  for (const [, share] of ticks) {
    const y = Math.round(canvas.height * (1 - share)) + 0.5;
    context.beginPath();
    context.moveTo(0, y);
    context.lineTo(canvas.width, y);
    context.stroke();
  }
  const x = (seconds) => canvas.width * (seconds - picture.from) / (picture.width * pixel);
  context.strokeStyle = "#00e5ff";
  context.lineWidth = 1.5;
  context.beginPath();
  for (const edge of [x(sounds.start[n]), x(sounds.end[n])]) {
    for (const [low, high] of [[0, 6], [canvas.height - 6, canvas.height]]) {
      context.moveTo(edge, low);
      context.lineTo(edge, high);
    }
  }
  context.stroke();
}

// Two groups of sounds by 2-means of their codes; returns the smaller one, or nothing if there are not two groups.
function halves(sounds, own) {
  const width = sounds.codes;
  const apart = (n, centre) => centre.reduce((all, value, i) => all + (sounds.code[width * n + i] - value) ** 2, 0);
  const farthest = (centre) => own.reduce((most, n) => (apart(n, centre) > apart(most, centre) ? n : most), own[0]);
  const code = (n) => Array.from(sounds.code.subarray(width * n, width * (n + 1)));
  const mean = (part) => Array.from({ length: width }, (_, i) => part.reduce((all, n) => all + sounds.code[width * n + i], 0) / part.length);
  if (own.length < 2) return [];
  const first = farthest(mean(own));
  let centres = [code(first), code(farthest(code(first)))];
  let parts = [own, []];
  for (let round = 0; round < 50; round += 1) {
    parts = [[], []];
    for (const n of own) parts[apart(n, centres[0]) <= apart(n, centres[1]) ? 0 : 1].push(n);
    if (!parts[0].length || !parts[1].length) return [];
    const next = parts.map(mean);
    if (JSON.stringify(next) === JSON.stringify(centres)) break;
    centres = next;
  }
  return parts[0].length <= parts[1].length ? parts[0] : parts[1];
}
