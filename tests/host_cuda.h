// CUDA on the host, for tests: a grid is run block by block, a block's threads as fibers that change at barriers, or
// as one thread that strides over everything. Enough for kernels.cu, which uses no warps, no atomics, no texture.
#include <ucontext.h>

#include <cmath>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __shared__ static

using std::exp;
using std::log;
using std::pow;
using std::sqrt;
using std::tanh;

struct Dim {
  int x = 1, y = 1;
};
static Dim gridDim, blockDim, blockIdx, threadIdx;

struct Fiber {
  ucontext_t context;
  std::vector<char> stack = std::vector<char>(1 << 16);
  bool done = false;
};
static std::vector<Fiber> fibers(1024);
static ucontext_t scheduler;
static std::function<void()> body;
static int current;

static void enter() {
  body();
  fibers[current].done = true;
}

static void __syncthreads() {
  if (blockDim.x * blockDim.y > 1) swapcontext(&fibers[current].context, &scheduler);
}

// Returns 0, or 1 where some threads of a block ended while others waited at a barrier.
static int run_block() {
  const int count = blockDim.x * blockDim.y;
  if (count == 1) {
    threadIdx = {0, 0};
    body();
    return 0;
  }
  for (int i = 0; i < count; ++i) {
    Fiber& fiber = fibers[i];
    fiber.done = false;
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler;
    makecontext(&fiber.context, enter, 0);
  }
  for (int ended = 0; ended < count;) {
    ended = 0;
    for (int i = count - 1; i >= 0; --i) {  // backwards: what only works in order shows
      current = i;
      threadIdx = {i % blockDim.x, i / blockDim.x};
      swapcontext(&scheduler, &fibers[i].context);
      ended += fibers[i].done;
    }
    if (ended && ended < count) return 1;
  }
  return 0;
}

static int run_grid(const int* shape, std::function<void()> call) {
  gridDim = {shape[0], shape[1]};
  blockDim = {shape[2], shape[3]};
  body = call;
  int wrong = 0;
  for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x) wrong |= run_block();
  return wrong;
}
