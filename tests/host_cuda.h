// CUDA on the host, for tests: a grid is run block by block, a block's threads as fibers that change at barriers, or
// as one thread that strides over everything. Enough for kernels.cu, which uses no warps, no atomics, no texture.
#include <setjmp.h>
#include <ucontext.h>

#include <cmath>
#include <functional>
#include <memory>
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
  jmp_buf place;
  std::unique_ptr<char[]> stack{new char[1 << 16]};
  bool begun = false, done = false;
};
static std::vector<Fiber> fibers(1024);
static jmp_buf scheduler;
static std::function<void()> body;
static int current;

// Fibers change by jumps, which a context begins: swapcontext would ask the system at every change.
static void leave() {
  if (!_setjmp(fibers[current].place)) _longjmp(scheduler, 1);
}

static void enter() {
  for (;;) {
    body();
    fibers[current].done = true;
    leave();
  }
}

static void go_on(Fiber& fiber) {
  if (_setjmp(scheduler)) return;
  if (fiber.begun) _longjmp(fiber.place, 1);
  fiber.begun = true;
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = 1 << 16;
  makecontext(&fiber.context, enter, 0);
  setcontext(&fiber.context);
}

static void __syncthreads() {
  if (blockDim.x * blockDim.y > 1) leave();
}

// Returns 0, or 1 where some threads of a block ended while others waited at a barrier.
static int run_block() {
  const int count = blockDim.x * blockDim.y;
  if (count == 1) {
    threadIdx = {0, 0};
    body();
    return 0;
  }
  for (int i = 0; i < count; ++i) fibers[i].done = false;
  for (int ended = 0; ended < count;) {
    ended = 0;
    for (int i = count - 1; i >= 0; --i) {  // backwards: what only works in order shows
      current = i;
      threadIdx = {i % blockDim.x, i / blockDim.x};
      go_on(fibers[i]);
      ended += fibers[i].done;
    }
    if (ended && ended < count) {
      for (Fiber& fiber : fibers) fiber.begun = false;  // the next block has none that waits in this one
      return 1;
    }
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
