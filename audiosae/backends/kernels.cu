// What happens between the matrix products, one launch each; the formulas are those of cpu.py, the specification.
//
// Matrices are row-major. Threads run along the columns, V numbers each in one load of 16 bytes where addresses allow
// (V = 1 where not), and down the rows in stripes. Column sums are written as one partial row per stripe and added up
// by `total` in a fixed order: no atomics, the same bits in every run. How many stripes and blocks there are depends on
// shapes alone, not on the card. Every loop strides over the grid, so that any grid gives the same numbers.
//
// Why the products do not take these sweeps along: what cuBLASLt can do at a product's end (RELU, GELU, BIAS, their AUX,
// DRELU, DGELU, BGRAD) has no sigmoid and no tanh, and none of their slopes. Only a bias could go along, and a sweep over
// the matrix would follow all the same.

constexpr int SIGMOID = 0, TANH = 1;  // and LINEAR = 2: neither
constexpr int LANES = 32, LINES = 8;  // of a block that sums columns, at most
typedef long long Index;

template <typename T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };

template <typename T, int V>
__device__ Pack<T, V> load(const T* at) { return *reinterpret_cast<const Pack<T, V>*>(at); }

template <typename T, int V>
__device__ void store(T* at, const Pack<T, V>& pack) { *reinterpret_cast<Pack<T, V>*>(at) = pack; }

template <typename T>
__device__ T sigmoid(T z) { return T(1) / (T(1) + exp(-z)); }  // exp(-z) may be infinite: the 0 that is meant

template <typename T, int K>
__device__ T slope_of(T a) { return K == TANH ? T(1) - a * a : (T(1) - a) * a; }

__device__ inline double clipped(double activity, double count, double clip) {
  const double rho_hat = activity / count;  // NaN stays NaN: a run that diverges must be seen to
  return rho_hat < clip ? clip : rho_hat > 1 - clip ? 1 - clip : rho_hat;
}

// Add up one number of every thread of a block, for all of them.
__device__ inline double block_sum(double mine) {
  __shared__ double held[1024];
  const int size = blockDim.x * blockDim.y, at = threadIdx.y * blockDim.x + threadIdx.x;
  held[at] = mine;
  __syncthreads();
  for (int width = 512; width > 0; width /= 2) {
    if (at < width && at + width < size) held[at] += held[at + width];
    __syncthreads();
  }
  const double sum = held[0];
  __syncthreads();
  return sum;
}

// Add up V sums of every thread down the block's lines; line 0 writes them to a partial row.
template <typename T, int V>
__device__ void write_sums(const T (&mine)[V], T* partial) {
  __shared__ T held[V][LINES][LANES];
  for (int k = 0; k < V; ++k) held[k][threadIdx.y][threadIdx.x] = mine[k];
  __syncthreads();
  if (threadIdx.y == 0 && partial) {
    Pack<T, V> sums = {};
    for (int line = 0; line < (int)blockDim.y; ++line)
      for (int k = 0; k < V; ++k) sums.v[k] += held[k][line][threadIdx.x];
    store<T, V>(partial, sums);
  }
  __syncthreads();
}

// Visit a matrix in stripes of rows: sweep(column, first row, end) adds to its V sums, which become a partial row.
template <typename T, int V, typename Sweep>
__device__ void striped(Index rows, int cols, int stripe, T* partial, Sweep sweep) {
  for (Index number = blockIdx.y; number * stripe < rows; number += gridDim.y) {
    const Index begin = number * stripe, end = begin + stripe < rows ? begin + stripe : rows;
    for (int tile = blockIdx.x * blockDim.x; tile * V < cols; tile += gridDim.x * blockDim.x) {
      const int column = (tile + threadIdx.x) * V;
      T sums[V] = {};
      if (column < cols) sweep(column, begin + threadIdx.y, end, sums);
      write_sums<T, V>(sums, column < cols ? partial + number * cols + column : nullptr);
    }
  }
}

// z (rows, cols) becomes f(z + bias); sums of act, which is a for sigmoid and (a + 1) / 2 for tanh.
template <typename T, int V, int K>
__global__ void activate(T* z, const T* bias, T* partial, Index rows, int cols, int stripe) {
  striped<T, V>(rows, cols, stripe, partial, [&](int column, Index row, Index end, T(&sums)[V]) {
    const Pack<T, V> b = load<T, V>(bias + column);
    for (; row < end; row += blockDim.y) {
      Pack<T, V> p = load<T, V>(z + row * cols + column);
      for (int k = 0; k < V; ++k) {
        p.v[k] = K == TANH ? tanh(p.v[k] + b.v[k]) : sigmoid(p.v[k] + b.v[k]);
        sums[k] += K == TANH ? (p.v[k] + 1) / 2 : p.v[k];
      }
      store<T, V>(z + row * cols + column, p);
    }
  });
}

// y (rows, cols) becomes the output's delta; its sums, and per block 1/2 sum of squares of g(y + bias) - x.
template <typename T, int V, int K>
__global__ void residual(T* y, const T* bias, const T* x, T* partial, double* errors, Index rows, int cols, int stripe) {
  double error = 0;
  striped<T, V>(rows, cols, stripe, partial, [&](int column, Index row, Index end, T(&sums)[V]) {
    const Pack<T, V> b = load<T, V>(bias + column);
    T squares = 0;
    for (; row < end; row += blockDim.y) {
      Pack<T, V> p = load<T, V>(y + row * cols + column);
      const Pack<T, V> target = load<T, V>(x + row * cols + column);
      for (int k = 0; k < V; ++k) {
        const T g = K == SIGMOID ? sigmoid(p.v[k] + b.v[k]) : p.v[k] + b.v[k];
        const T apart = g - target.v[k];
        squares += apart * apart;
        p.v[k] = K == SIGMOID ? apart * slope_of<T, SIGMOID>(g) : apart;
        sums[k] += p.v[k];
      }
      store<T, V>(y + row * cols + column, p);
    }
    error += (double)squares / 2;
  });
  error = block_sum(error);
  if (threadIdx.x == 0 && threadIdx.y == 0) errors[blockIdx.y * gridDim.x + blockIdx.x] = error;
}

// d (rows, cols) becomes (d + kl_gradient) f'(a); its sums. No kl_gradient: a null pointer.
template <typename T, int V, int K>
__global__ void hidden_delta(T* d, const T* a, const T* kl_gradient, T* partial, Index rows, int cols, int stripe) {
  striped<T, V>(rows, cols, stripe, partial, [&](int column, Index row, Index end, T(&sums)[V]) {
    const Pack<T, V> extra = kl_gradient ? load<T, V>(kl_gradient + column) : Pack<T, V>{};
    for (; row < end; row += blockDim.y) {
      Pack<T, V> p = load<T, V>(d + row * cols + column);
      const Pack<T, V> active = load<T, V>(a + row * cols + column);
      for (int k = 0; k < V; ++k) {
        p.v[k] = (p.v[k] + extra.v[k]) * slope_of<T, K>(active.v[k]);
        sums[k] += p.v[k];
      }
      store<T, V>(d + row * cols + column, p);
    }
  });
}

// a (rows, cols) becomes f'; its sums.
template <typename T, int V, int K>
__global__ void slope(T* a, T* partial, Index rows, int cols, int stripe) {
  striped<T, V>(rows, cols, stripe, partial, [&](int column, Index row, Index end, T(&sums)[V]) {
    for (; row < end; row += blockDim.y) {
      Pack<T, V> p = load<T, V>(a + row * cols + column);
      for (int k = 0; k < V; ++k) sums[k] += p.v[k] = slope_of<T, K>(p.v[k]);
      store<T, V>(a + row * cols + column, p);
    }
  });
}

// Add up partial rows to column sums, and the errors of blocks to one number in the last block (no errors: count 0).
template <typename T>
__global__ void total(const T* partial, int stripes, int cols, double* sums, const double* errors, int count, double* error) {
  __shared__ double held[LINES][LANES];
  const int columns = gridDim.x - (count > 0);
  if ((int)blockIdx.x == columns) {
    double mine = 0;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < count; i += blockDim.x * blockDim.y) mine += errors[i];
    mine = block_sum(mine);
    if (threadIdx.x == 0 && threadIdx.y == 0) *error = mine;
    return;
  }
  for (int tile = blockIdx.x * blockDim.x; tile < cols; tile += columns * blockDim.x) {
    const int column = tile + threadIdx.x;
    double mine = 0;
    if (column < cols)
      for (int i = threadIdx.y; i < stripes; i += blockDim.y) mine += (double)partial[(Index)i * cols + column];
    held[threadIdx.y][threadIdx.x] = mine;
    __syncthreads();
    if (threadIdx.y == 0 && column < cols) {
      for (int line = 1; line < (int)blockDim.y; ++line) mine += held[line][threadIdx.x];
      sums[column] = mine;
    }
    __syncthreads();
  }
}

// The penalty's kl_gradient on each unit: beta dKL / drho_hat times d act / d a.
template <typename T, int K>
__global__ void kl_gradient(const double* activity, double count, double rho, double beta, double clip, T* found, int hidden) {
  for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < hidden; j += gridDim.x * blockDim.x) {
    const double rho_hat = clipped(activity[j], count, clip);
    found[j] = (T)((K == TANH ? 0.5 : 1.0) * beta * ((1 - rho) / (1 - rho_hat) - rho / rho_hat));
  }
}

// One block: reconstruction, sparsity and decay terms, rho_hat; into a running_totals too, where there is one.
__global__ void cost(const double* error, const double* activity, const double* squares, int parts, double count, double rho,
                     double beta, double decay, double clip, double* found, double* running_totals, int hidden) {
  double divergence = 0, weights = 0;
  for (int j = threadIdx.x; j < hidden; j += blockDim.x) {
    const double rho_hat = clipped(activity[j], count, clip);
    divergence += rho * log(rho / rho_hat) + (1 - rho) * log((1 - rho) / (1 - rho_hat));
    found[3 + j] = rho_hat;
    if (running_totals) running_totals[4 + j] += count * rho_hat;
  }
  for (int i = threadIdx.x; i < parts; i += blockDim.x) weights += squares[i];
  divergence = block_sum(divergence);
  weights = block_sum(weights);
  if (threadIdx.x == 0) {
    found[0] = *error / count;
    found[1] = beta * divergence;
    found[2] = decay / 2 * weights;
    const double told[] = {1, found[0] + found[1] + found[2], found[0], found[1]};
    for (int i = 0; running_totals && i < 4; ++i) running_totals[i] += count * told[i];
  }
}

// Length and epsilon of Adam's step of a number (Kingma and Ba 2015), where a recorded step finds them.
__global__ void pace(double* found, double rate, double step, double beta1, double beta2, double epsilon) {
  const double correction = sqrt(1 - pow(beta2, step));
  found[0] = rate * correction / (1 - pow(beta1, step));
  found[1] = epsilon * correction;
}

// What happens to N parameters: the mean of their summed gradients, with the decay of the first weights; then, where
// it is a step, Adam's (Kingma and Ba 2015, algorithm 1), else the gradient is kept. Returns the squares of the weights.
template <typename T, bool STEP>
struct Update {
  T *gradient, *flat, count, decay;
  Index decayed;
  T *first, *second, length, epsilon, keep1, take1, keep2, take2;

  template <int N>
  __device__ T visit(Index at) const {
    Pack<T, N> g = load<T, N>(gradient + at), w = load<T, N>(flat + at), m{}, v{};
    if (STEP) m = load<T, N>(first + at), v = load<T, N>(second + at);
    T squares = 0;
    for (int k = 0; k < N; ++k) {
      const bool weight = at + k < decayed;
      g.v[k] = g.v[k] / count + (weight ? decay * w.v[k] : T(0));
      squares += weight ? w.v[k] * w.v[k] : T(0);
      if (STEP) {
        m.v[k] = keep1 * m.v[k] + take1 * g.v[k];
        v.v[k] = keep2 * v.v[k] + take2 * g.v[k] * g.v[k];
        w.v[k] -= length * (m.v[k] / (sqrt(v.v[k]) + epsilon));
      }
    }
    if (STEP) {
      store<T, N>(first + at, m);
      store<T, N>(second + at, v);
      store<T, N>(flat + at, w);
    } else {
      store<T, N>(gradient + at, g);
    }
    return squares;
  }
};

// Visit all parameters, V at a time and the rest one by one.
template <int V, typename Work>
__device__ void visit_all(const Work& work, Index size, double* squares) {
  const Index first = (Index)blockIdx.x * blockDim.x + threadIdx.x, step = (Index)gridDim.x * blockDim.x, whole = size / V;
  double mine = 0;
  for (Index i = first; i < whole; i += step) mine += (double)work.template visit<V>(i * V);
  for (Index i = whole * V + first; i < size; i += step) mine += (double)work.template visit<1>(i);
  mine = block_sum(mine);
  if (threadIdx.x == 0) squares[blockIdx.x] = mine;
}

template <typename T, int V>
__global__ void average_gradient(T* gradient, T* flat, Index size, Index decayed, double count, double decay, double* squares) {
  visit_all<V>(Update<T, false>{gradient, flat, (T)count, (T)decay, decayed}, size, squares);
}

template <typename T, int V>
__global__ void adam(T* flat, T* gradient, T* first, T* second, Index size, Index decayed, double count, double decay,
                     const double* pace, double beta1, double beta2, double* squares) {
  const Update<T, true> step = {gradient, flat, (T)count, (T)decay, decayed, first, second, (T)pace[0], (T)pace[1],
                                (T)beta1, (T)(1 - beta1), (T)beta2, (T)(1 - beta2)};
  visit_all<V>(step, size, squares);
}

// Rows divided by their norms; rows of zeros stay. A block takes a row.
template <typename T>
__global__ void unit_rows(const T* weights, T* found, Index rows, int cols) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    double squares = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
      const double w = (double)weights[row * cols + j];
      squares += w * w;
    }
    squares = block_sum(squares);
    const T norm = squares > 0 ? (T)sqrt(squares) : T(1);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) found[row * cols + j] = weights[row * cols + j] / norm;
  }
}

// Windows (count, run * runs) of a field: window k = index[i] (or i) begins at starts[k] (or k * width), and its runs lie
// pitches[k] apart; the mean is subtracted on the way. Null pointers: no index, no starts, one run, no mean.
template <typename S, typename T>
__global__ void gather(const S* field, const Index* starts, const Index* pitches, const Index* index, const float* mean,
                       T* found, Index count, int run, int runs) {
  const int width = run * runs;
  for (Index i = (Index)blockIdx.x * blockDim.y + threadIdx.y; i < count; i += (Index)gridDim.x * blockDim.y) {
    const Index k = index ? index[i] : i;
    const S* from = field + (starts ? starts[k] : k * width);
    const Index pitch = pitches ? pitches[k] : run;
#pragma unroll 4
    for (int j = threadIdx.x; j < width; j += blockDim.x) {
      const S value = from[runs == 1 ? j : (j / run) * pitch + j % run];
      found[i * width + j] = (T)value - (mean ? (T)mean[j] : T(0));
    }
  }
}
