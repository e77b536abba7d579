// Spectrograms that the page computes from the sounds it plays, on the frequency axis of the model.

// Where a frequency is on the axis, from 0 (lowest) to 1, and back.
function frequencyAxis(bands) {
  const share = (i) => (i + 0.5) / bands.length;
  const between = (value, low, high, from, to) => from + (to - from) * (value - low) / (high - low);
  return {
    low: bands[0], high: bands.at(-1),
    share(hertz) {
      const i = bands.findIndex((band) => band >= hertz);
      if (i < 0) return 1;
      return i ? between(hertz, bands[i - 1], bands[i], share(i - 1), share(i)) : Math.max(0, share(0) * hertz / Math.max(bands[0], 1));
    },
    hertz(at) {
      const place = at * bands.length - 0.5;
      if (place <= 0) return Math.max(0, bands[0] * (place + 0.5) / 0.5);
      const i = Math.min(Math.floor(place), bands.length - 2);
      return Math.min(bands[i] + (bands[i + 1] - bands[i]) * (place - i), bands.at(-1));
    },
  };
}

// Samples of a sound at a rate that has its frequencies up to `highest` Hz, or as many as the browser decodes.
async function samplesOf(sound, highest) {
  const bytes = sound.url.startsWith("data:") ? Uint8Array.from(atob(sound.url.split(",")[1]), (c) => c.charCodeAt(0)).buffer
    : await (await fetch(sound.url)).arrayBuffer();
  const slowed = sound.slowed || 1;
  const rate = Math.min(Math.max(2.2 * highest / slowed, 8000), 96000);
  const decoded = await new OfflineAudioContext(1, 1, rate).decodeAudioData(bytes);
  return { samples: decoded.getChannelData(0), rate: rate * slowed };
}

// Squared magnitudes of the first half of the discrete Fourier transform (radix 2; the length is a power of two).
function transform(size) {
  const cosine = Float32Array.from({ length: size / 2 }, (_, i) => Math.cos(2 * Math.PI * i / size));
  const sine = Float32Array.from({ length: size / 2 }, (_, i) => -Math.sin(2 * Math.PI * i / size));
  const bits = Math.log2(size);
  const order = Uint16Array.from({ length: size }, (_, i) => parseInt(i.toString(2).padStart(bits, "0").split("").reverse().join(""), 2));
  const [real, imaginary] = [new Float32Array(size), new Float32Array(size)];
  return (values) => {
    for (let i = 0; i < size; i += 1) [real[i], imaginary[i]] = [values[order[i]], 0];
    for (let half = 1; half < size; half *= 2) {
      for (let from = 0; from < size; from += 2 * half) {
        for (let i = 0; i < half; i += 1) {
          const [at, to, turn] = [from + i, from + i + half, i * size / (2 * half)];
          const [x, y] = [real[to] * cosine[turn] - imaginary[to] * sine[turn], real[to] * sine[turn] + imaginary[to] * cosine[turn]];
          [real[to], imaginary[to]] = [real[at] - x, imaginary[at] - y];
          [real[at], imaginary[at]] = [real[at] + x, imaginary[at] + y];
        }
      }
    }
    return Float32Array.from({ length: size / 2 }, (_, i) => real[i] ** 2 + imaginary[i] ** 2);
  };
}

const MAGMA = ["000004", "1c1044", "4f127b", "812581", "b5367a", "e55064", "fb8761", "fec287", "fcfdbf"]
  .map((text) => [0, 2, 4].map((at) => parseInt(text.slice(at, at + 2), 16)));
function magma(share) {
  const place = Math.min(Math.max(share, 0), 1) * (MAGMA.length - 1);
  const i = Math.min(Math.floor(place), MAGMA.length - 2);
  return MAGMA[i].map((low, part) => low + (MAGMA[i + 1][part] - low) * (place - i));
}

// A spectrogram as an image with as many pixels as are given; the window is 20 ms long, 10 ms for brief sounds.
function spectrogram({ samples, rate }, axis, width, height, { brief, slowed = 1 }) {
  const size = 2 ** Math.min(Math.max(Math.round(Math.log2(rate / slowed * (brief ? 0.01 : 0.02))), 5), 14);
  const power = transform(size);
  const window = Float32Array.from({ length: size }, (_, i) => 0.5 - 0.5 * Math.cos(2 * Math.PI * i / size));
  const bins = Array.from({ length: height + 1 }, (_, row) => axis.hertz(1 - row / height) * size / rate);
  const levels = new Float32Array(width * height);
  const part = new Float32Array(size);
  for (let column = 0; column < width; column += 1) {
    const first = Math.round((column + 0.5) * samples.length / width) - size / 2;
    for (let i = 0; i < size; i += 1) part[i] = (samples[first + i] || 0) * window[i];
    const spectrum = power(part);
    for (let row = 0; row < height; row += 1) {
      const [low, high] = [bins[row + 1], Math.min(bins[row], size / 2 - 1)];
      const middle = Math.min((low + high) / 2, size / 2 - 1.001);
      const at = Math.floor(middle);
      let most = spectrum[at] + (spectrum[at + 1] - spectrum[at]) * (middle - at);
      for (let bin = Math.ceil(low); bin <= high; bin += 1) most = Math.max(most, spectrum[bin]);
      levels[row * width + column] = 10 * Math.log10(most + 1e-12);
    }
  }
  const sorted = Float32Array.from(levels).sort();
  const [high, background] = [sorted.at(-1), sorted[Math.floor(0.3 * sorted.length)]];
  const low = Math.min(Math.max(background, high - 60), high - 20);
  const image = new ImageData(width, height);
  levels.forEach((level, i) => image.data.set([...magma((level - low) / (high - low)), 255], 4 * i));
  return image;
}
