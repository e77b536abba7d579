// Which sounds to ask about: in the order of the survey (those typical of a group first); with enough labels, those whose
// label is least certain. Labels are predicted by kernel ridge regression as in audiosae/sounds/labeller.py, from the
// labels of this page alone.
function nextQuestions(sounds, said) {
  const enough = 30, most = 400, penalty = 0.2; // labels; labels that are used; ridge penalty
  const width = sounds.codes;
  const near = new Map(); // similarity of a labelled sound to all others

  let points = null; // of unit length
  function unit() {
    points = Float32Array.from(sounds.code);
    for (let n = 0; n < sounds.count; n += 1) {
      const own = points.subarray(width * n, width * (n + 1));
      const length = Math.hypot(...own) || 1;
      own.forEach((value, i) => { own[i] = value / length; });
    }
  }
  function similar(n) {
    if (!near.has(n)) {
      if (!points) unit();
      const [own, all] = [points.subarray(width * n, width * (n + 1)), new Float32Array(sounds.count)];
      for (let other = 0; other < sounds.count; other += 1) {
        let product = 0;
        for (let i = 0; i < width; i += 1) product += own[i] * points[width * other + i];
        all[other] = Math.exp(-Math.max(2 - 2 * product, 0));
      }
      near.set(n, all);
    }
    return near.get(n);
  }
  // What a person says a sound is; null if that is not known.
  function meant(n) {
    const [label, answer] = [said.now.label[n], said.now.answer[n]];
    if (answer === "other") return "";
    if (answer === "no" && !label) return null;
    return label || (answer === "yes" && said.nameOf(said.typeOf(n))) || null;
  }
  // Solves a symmetric, positive definite system for several right sides (Cholesky).
  function solve(matrix, sides) {
    const size = matrix.length;
    for (let i = 0; i < size; i += 1) {
      for (let j = 0; j <= i; j += 1) {
        let value = matrix[i][j];
        for (let k = 0; k < j; k += 1) value -= matrix[i][k] * matrix[j][k];
        matrix[i][j] = i === j ? Math.sqrt(value) : value / matrix[j][j];
      }
    }
    return sides.map((side) => {
      const x = Float64Array.from(side);
      for (let i = 0; i < size; i += 1) {
        for (let k = 0; k < i; k += 1) x[i] -= matrix[i][k] * x[k];
        x[i] /= matrix[i][i];
      }
      for (let i = size - 1; i >= 0; i -= 1) {
        for (let k = i + 1; k < size; k += 1) x[i] -= matrix[k][i] * x[k];
        x[i] /= matrix[i][i];
      }
      return x;
    });
  }
  // How much higher the score of the likeliest label is than that of the next, for each of some sounds.
  function margins(open) {
    const all = Array.from(sounds.event.keys()).filter((n) => meant(n) !== null);
    const names = [...new Set(all.map(meant))];
    if (all.length < enough || names.length < 2) return null;
    const own = all.length <= most ? all : Array.from({ length: most }, (_, i) => all[Math.floor(i * all.length / most)]);
    const shares = names.map((name) => own.filter((n) => meant(n) === name).length / own.length);
    const matrix = own.map((n, i) => Float64Array.from(own, (other, j) => similar(n)[other] + (i === j ? penalty : 0)));
    const weights = solve(matrix, names.map((name, k) => own.map((n) => (meant(n) === name ? 1 : 0) - shares[k])));
    const columns = own.map(similar);
    return open.map((n) => {
      const scores = weights.map((weight, k) => columns.reduce((sum, column, i) => sum + weight[i] * column[n], shares[k]));
      scores.sort((a, b) => b - a);
      return scores[0] - scores[1];
    });
  }
  return (open) => {
    const left = new Set(open);
    const first = sounds.ask.filter((n) => left.has(n));
    const least = margins(open);
    if (!least) return [...new Set([...first, ...open])];
    return open.map((n, i) => [least[i], n]).sort((a, b) => a[0] - b[0]).map(([, n]) => n);
  };
}
