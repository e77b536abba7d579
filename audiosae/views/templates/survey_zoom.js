// The part of the map that is seen: it is enlarged with the wheel, two fingers, keys and buttons.
function mapZoom(canvas, changed) {
  const border = 10, most = 64;
  let [scale, left, top] = [1, 0, 0]; // enlargement; the corner of what is seen, as a share of the whole map
  let pinch = null;

  const inner = () => [canvas.clientWidth - 2 * border, canvas.clientHeight - 2 * border];
  const inside = (value) => Math.min(Math.max(value, 0), 1 - 1 / scale);
  function set(nextScale, nextLeft, nextTop) {
    scale = Math.min(Math.max(nextScale, 1), most);
    [left, top] = [inside(nextLeft), inside(nextTop)];
    changed();
  }
  // Enlarges by a factor; what is at x, y (pixels) stays there.
  function zoom(factor, x, y) {
    const [width, height] = inner();
    const [across, down] = [(x - border) / width, (y - border) / height];
    const next = Math.min(Math.max(scale * factor, 1), most);
    set(next, left + across / scale - across / next, top + down / scale - down / next);
  }
  function move(x, y) { // the map by pixels
    const [width, height] = inner();
    set(scale, left - x / width / scale, top - y / height / scale);
  }
  const middle = () => [canvas.clientWidth / 2, canvas.clientHeight / 2];
  const fingers = ({ touches: [first, second] }) => {
    const box = canvas.getBoundingClientRect();
    return { x: (first.clientX + second.clientX) / 2 - box.left, y: (first.clientY + second.clientY) / 2 - box.top,
      apart: Math.max(Math.hypot(first.clientX - second.clientX, first.clientY - second.clientY), 1) };
  };

  canvas.addEventListener("wheel", (event) => {
    const mine = event.ctrlKey || document.activeElement === canvas; // else the page scrolls
    if (!mine || (scale === 1 && event.deltaY > 0 && !event.ctrlKey)) return;
    event.preventDefault();
    const pixels = event.deltaY * [1, 16, 400][event.deltaMode];
    zoom(2 ** (-Math.min(Math.max(pixels, -200), 200) / (event.ctrlKey ? 60 : 200)), event.offsetX, event.offsetY);
  }, { passive: false });
  canvas.addEventListener("touchstart", (event) => {
    if (event.touches.length !== 2) return;
    if (event.cancelable) event.preventDefault();
    pinch = fingers(event);
  }, { passive: false });
  canvas.addEventListener("touchmove", (event) => {
    if (!pinch || event.touches.length !== 2) return;
    if (event.cancelable) event.preventDefault();
    const next = fingers(event);
    zoom(next.apart / pinch.apart, pinch.x, pinch.y);
    move(next.x - pinch.x, next.y - pinch.y);
    pinch = next;
  }, { passive: false });
  for (const end of ["touchend", "touchcancel"]) canvas.addEventListener(end, (event) => { if (event.touches.length < 2) pinch = null; });
  const whole = () => set(1, 0, 0);
  find("zoom-in").addEventListener("click", () => zoom(2, ...middle()));
  find("zoom-out").addEventListener("click", () => zoom(0.5, ...middle()));
  find("zoom-whole").addEventListener("click", whole);

  return {
    move, whole,
    isPinched: () => pinch !== null,
    // Where a place of the map (0 to 1) is, in pixels.
    pixels(x, y) {
      const [width, height] = inner();
      return [border + width * (x - left) * scale, border + height * (y - top) * scale];
    },
    grown: () => Math.min(2, Math.sqrt(scale)), // of the points
    // Whether the key was for the map; x, y: what to enlarge around.
    key(event, at) {
      const [x, y] = at || middle();
      if (event.key === "+" || event.key === "=") zoom(1.5, x, y);
      else if (event.key === "-") zoom(1 / 1.5, x, y);
      else if (event.key === "0") whole();
      else return false;
      return true;
    },
    // Moves the map so that a place (0 to 1) is seen.
    reveal(x, y) {
      const margin = 0.1 / scale;
      const seen = (value, low) => Math.min(Math.max(low, value + margin - 1 / scale), value - margin);
      if (scale > 1) set(scale, seen(x, left), seen(y, top));
    },
  };
}
