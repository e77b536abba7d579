// The operations between the matrix products, one launch each. The formulas are those of cpu.py, the specification.
//
// Matrices are row-major. Threads run along the columns and process the rows in stripes. Each thread loads V numbers at
// once: 16 bytes if the addresses are aligned, else V = 1. Column sums are written as one partial row per stripe, and
// `total` adds the partial rows in a fixed order, without atomics: every run gives the same bits. The numbers of stripes
// and blocks depend on the shapes only, not on the GPU. Every loop strides over the grid, so any grid gives the same
// numbers.
//
// These sweeps are not fused with the matrix products: the epilogues of cuBLASLt (RELU, GELU, BIAS, their AUX, DRELU,
// DGELU, BGRAD) include neither sigmoid nor tanh nor their derivatives. Only the bias could be fused, and a sweep over
// the matrix would still be necessary.

constexpr int SIGMOID = 0, TANH = 1;  // and LINEAR = 2
constexpr int LANES = 32, LINES = 8;  // the largest block that sums columns
typedef long long Index;

template <typename T, int V> struct alignas(sizeof(T) * V) Pack { T v[V]; };

template <typename T, int V>
__device__ Pack<T, V> load(const T* at) { return *reinterpret_cast<const Pack<T, V>*>(at); }

template <typename T, int V>
__device__ void store(T* at, const Pack<T, V>& pack) { *reinterpret_cast<Pack<T, V>*>(at) = pack; }

template <typename T>
__device__ T sigmoid(T z) { return T(1) / (T(1) + exp(-z)); }  // exp(-z) may overflow to infinity; the result 0 is correct

template <typename T, int K>
__device__ T slope_of(T a) { return K == TANH ? T(1) - a * a : (T(1) - a) * a; }

__device__ inline double clipped(double activity, double count, double clip) {
  const double rho_hat = activity / count;  // NaN stays NaN, so that a diverging run is noticed
  return rho_hat < clip ? clip : rho_hat > 1 - clip ? 1 - clip : rho_hat;
}

// Return the sum of one number per thread of a block, to every thread.
__device__ inline double block_sum(double own) {
  __shared__ double shared[1024];
  const int size = blockDim.x * blockDim.y, at = threadIdx.y * blockDim.x + threadIdx.x;
  shared[at] = own;
  __syncthreads();
  for (int width = 512; width > 0; width /= 2) {
    if (at < width && at + width < size) shared[at] += shared[at + width];
    __syncthreads();
  }
  const double sum = shared[0];
  __syncthreads();
  return sum;
}

// Add V sums per thread over the lines of a block; line 0 writes the results to a partial row.
template <typename T, int V>
__device__ void write_sums(const T (&own)[V], T* partial) {
  __shared__ T shared[V][LINES][LANES];
  for (int k = 0; k < V; ++k) shared[k][threadIdx.y][threadIdx.x] = own[k];
  __syncthreads();
  if (threadIdx.y == 0 && partial) {
    Pack<T, V> sums = {};
    for (int line = 0; line < (int)blockDim.y; ++line)
      for (int k = 0; k < V; ++k) sums.v[k] += shared[k][line][threadIdx.x];
    store<T, V>(partial, sums);
  }
  __syncthreads();
}

// Process a matrix in stripes of rows: sweep(column, first row, end, sums) adds to V sums, which become a partial row.
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

// Replace z (rows, cols) by f(z + bias); column sums of act, which is a for sigmoid and (a + 1) / 2 for tanh.
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

// Replace y (rows, cols) by the output's delta; its column sums, and per block 1/2 sum of squares of g(y + bias) - x.
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

// Replace d (rows, cols) by (d + kl_gradient) f'(a); its column sums. kl_gradient may be a null pointer.
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

// Replace a (rows, cols) by f'; its column sums.
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

// Add partial rows to column sums; the last block adds the errors of blocks to one number (no errors: count 0).
template <typename T>
__global__ void total(const T* partial, int stripes, int cols, double* sums, const double* errors, int count, double* error) {
  __shared__ double shared[LINES][LANES];
  const int columns = gridDim.x - (count > 0);
  if ((int)blockIdx.x == columns) {
    double own = 0;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < count; i += blockDim.x * blockDim.y) own += errors[i];
    own = block_sum(own);
    if (threadIdx.x == 0 && threadIdx.y == 0) *error = own;
    return;
  }
  for (int tile = blockIdx.x * blockDim.x; tile < cols; tile += columns * blockDim.x) {
    const int column = tile + threadIdx.x;
    double own = 0;
    if (column < cols)
      for (int i = threadIdx.y; i < stripes; i += blockDim.y) own += (double)partial[(Index)i * cols + column];
    shared[threadIdx.y][threadIdx.x] = own;
    __syncthreads();
    if (threadIdx.y == 0 && column < cols) {
      for (int line = 1; line < (int)blockDim.y; ++line) own += shared[line][threadIdx.x];
      sums[column] = own;
    }
    __syncthreads();
  }
}

// The gradient of the sparsity term on each unit's activation: beta dKL / drho_hat times d act / d a.
template <typename T, int K>
__global__ void kl_gradient(const double* activity, double count, double rho, double beta, double clip, T* result, int hidden) {
  for (int j = blockIdx.x * blockDim.x + threadIdx.x; j < hidden; j += gridDim.x * blockDim.x) {
    const double rho_hat = clipped(activity[j], count, clip);
    result[j] = (T)((K == TANH ? 0.5 : 1.0) * beta * ((1 - rho) / (1 - rho_hat) - rho / rho_hat));
  }
}

// One block: reconstruction, sparsity and decay terms, rho_hat; also added to running_totals if that is not null.
__global__ void cost(const double* error, const double* activity, const double* squares, int parts, double count, double rho,
                     double beta, double decay, double clip, double* result, double* running_totals, int hidden) {
  double divergence = 0, weights = 0;
  for (int j = threadIdx.x; j < hidden; j += blockDim.x) {
    const double rho_hat = clipped(activity[j], count, clip);
    divergence += rho * log(rho / rho_hat) + (1 - rho) * log((1 - rho) / (1 - rho_hat));
    result[3 + j] = rho_hat;
    if (running_totals) running_totals[4 + j] += count * rho_hat;
  }
  for (int i = threadIdx.x; i < parts; i += blockDim.x) weights += squares[i];
  divergence = block_sum(divergence);
  weights = block_sum(weights);
  if (threadIdx.x == 0) {
    result[0] = *error / count;
    result[1] = beta * divergence;
    result[2] = decay / 2 * weights;
    const double terms[] = {1, result[0] + result[1] + result[2], result[0], result[1]};
    for (int i = 0; running_totals && i < 4; ++i) running_totals[i] += count * terms[i];
  }
}

// Length and epsilon of a step of Adam (Kingma and Ba 2015), in GPU memory for `adam`.
__global__ void pace(double* result, double rate, double step, double beta1, double beta2, double epsilon) {
  const double correction = sqrt(1 - pow(beta2, step));
  result[0] = rate * correction / (1 - pow(beta1, step));
  result[1] = epsilon * correction;
}

// Update of N parameters: divide the summed gradients by the count and add the decay of the first weights. With STEP
// apply Adam (Kingma and Ba 2015, algorithm 1), else store the gradient. Returns the sum of squares of the weights.
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

// Process all parameters, V at a time and the rest one by one.
template <int V, typename Work>
__device__ void visit_all(const Work& work, Index size, double* squares) {
  const Index first = (Index)blockIdx.x * blockDim.x + threadIdx.x, step = (Index)gridDim.x * blockDim.x, whole = size / V;
  double own = 0;
  for (Index i = first; i < whole; i += step) own += (double)work.template visit<V>(i * V);
  for (Index i = whole * V + first; i < size; i += step) own += (double)work.template visit<1>(i);
  own = block_sum(own);
  if (threadIdx.x == 0) squares[blockIdx.x] = own;
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

// Divide rows by their norms; rows of zeros stay zero. One block per row.
template <typename T>
__global__ void unit_rows(const T* weights, T* result, Index rows, int cols) {
  for (Index row = blockIdx.x; row < rows; row += gridDim.x) {
    double squares = 0;
    for (int j = threadIdx.x; j < cols; j += blockDim.x) {
      const double w = (double)weights[row * cols + j];
      squares += w * w;
    }
    squares = block_sum(squares);
    const T norm = squares > 0 ? (T)sqrt(squares) : T(1);
    for (int j = threadIdx.x; j < cols; j += blockDim.x) result[row * cols + j] = weights[row * cols + j] / norm;
  }
}

// Gather windows (count, run * runs) of a field: window k = index[i] (or i) begins at starts[k] (or k * width), and its
// runs are pitches[k] apart; the mean is subtracted. index, starts, pitches and mean may be null pointers.
template <typename S, typename T>
__global__ void gather(const S* field, const Index* starts, const Index* pitches, const Index* index, const float* mean,
                       T* result, Index count, int run, int runs) {
  const int width = run * runs;
  for (Index i = (Index)blockIdx.x * blockDim.y + threadIdx.y; i < count; i += (Index)gridDim.x * blockDim.y) {
    const Index k = index ? index[i] : i;
    const S* from = field + (starts ? starts[k] : k * width);
    const Index pitch = pitches ? pitches[k] : run;
#pragma unroll 4
    for (int j = threadIdx.x; j < width; j += blockDim.x) {
      const S value = from[runs == 1 ? j : (j / run) * pitch + j % run];
      result[i * width + j] = (T)value - (mean ? (T)mean[j] : T(0));
    }
  }
}
