"""A simulated GPU: the parts of CuPy's interface that audiosae uses, over NumPy, with kernels.cu run on the host.

It is as strict as a GPU: NumPy and device arrays do not mix, nothing is read back implicitly, new memory holds NaN,
writes past the end of an array are detected, and memory can run out.
"""

from __future__ import annotations

import ctypes
import sys
import weakref
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

import numpy as np
from host_kernels import check, instance_types
from numpy.lib.mixins import NDArrayOperatorsMixin

GUARD, MARK = 256, 0xA5
MARKED = bytes([MARK])
FUNCTIONS = ("matmul", "clip", "vdot", "concatenate", "array_split", "sqrt", "square", "where", "copy")


class OutOfMemoryError(MemoryError):
    pass


class Allocation:
    """Device memory between guard bytes."""

    def __init__(self, device, size):
        if device.used + size > device.memory:
            raise OutOfMemoryError(f"Out of memory allocating {size} bytes")
        self.raw = np.full(size + 3 * GUARD, MARK, np.uint8)
        self.offset = GUARD + -(self.raw.ctypes.data + GUARD) % GUARD
        self.size = size
        device.used += size
        device.most = max(device.most, device.used)
        weakref.finalize(self, device.free, size)

    def array(self, shape, dtype):
        return np.ndarray(shape, dtype, self.raw, self.offset)

    def check(self):
        guards = self.raw[: self.offset].tobytes() + self.raw[self.offset + self.size :].tobytes()
        if guards.strip(MARKED):
            raise RuntimeError("a kernel wrote outside of its array")


class Array(NDArrayOperatorsMixin):
    """An array on the device."""

    def __init__(self, device, array, memory):
        self._device, self._a, self._memory = device, array, memory

    shape, dtype, size, ndim, itemsize, nbytes, flags = (
        property(lambda self, name=name: getattr(self._a, name))
        for name in ("shape", "dtype", "size", "ndim", "itemsize", "nbytes", "flags")
    )

    @property
    def data(self):
        return SimpleNamespace(ptr=self._a.ctypes.data)

    @property
    def T(self):
        return self._view(self._a.T)

    def __len__(self):
        return len(self._a)

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`")

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **how):
        return self._device.apply(getattr(ufunc, method), inputs, how | ({"out": out[0]} if out else {}))

    def __array_function__(self, function, types, inputs, how):
        return self._device.apply(function, inputs, how)

    def __getitem__(self, index):
        if isinstance(index, Array):
            return self._device.fresh(self._a[index._a])
        return self._view(self._a[self._device.index(index)])

    def __setitem__(self, index, value):
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("non-scalar numpy.ndarray cannot be used for fill")
        np.copyto(self._a[self._device.index(index)], self._device.bare(value), casting="unsafe")

    def __float__(self):
        return float(self.get())

    def __bool__(self):
        return bool(self.get())

    def __iter__(self):
        raise TypeError("iteration over an array on the device reads it back number by number")

    def reshape(self, *shape):
        return self._view(self._a.reshape(*shape))

    def astype(self, dtype, *, copy=True):
        return self if not copy and dtype == self.dtype else self._device.apply(np.ndarray.astype, (self, dtype), {})

    def copy(self):
        return self._device.apply(np.copy, (self,), {})

    def sum(self, **how):
        return self._device.apply(np.sum, (self,), how)

    def mean(self, **how):
        return self._device.apply(np.mean, (self,), how)

    def std(self, **how):
        return self._device.apply(np.std, (self,), how)

    def get(self):
        self._device.read()
        return self._a.copy()

    def set(self, host, stream=None):
        self._device.uploads.append((host.dtype.name, host.nbytes))
        if type(host) is not np.ndarray or (host.shape, host.dtype) != (self.shape, self.dtype):
            raise ValueError(f"set wants {self.shape} {self.dtype}, found {getattr(host, 'shape', host)}")
        self._a[...] = host

    def _view(self, array):
        return Array(self._device, array, self._memory)


class Device:
    """Memory of the simulated GPU, and counts of its launches, reads and uploads."""

    def __init__(self, kernels, *, memory=2**34, fibers=False):
        self.kernels, self.memory, self.fibers = kernels, memory, fibers
        self.used = self.most = self.reads = self.launches = 0
        self.uploads = []  # (dtype, bytes) of each array that was sent

    def free(self, size):
        self.used -= size

    def read(self):
        self.reads += 1

    def empty(self, shape, dtype=float):
        dtype = np.dtype(dtype)
        memory = Allocation(self, int(np.prod(shape)) * dtype.itemsize)
        array = memory.array(shape, dtype)
        array.fill(np.nan if dtype.kind == "f" else -(2**40) if dtype == np.int64 else 0)
        return Array(self, array, memory)

    def fresh(self, array):
        copy = self.empty(np.shape(array), np.asarray(array).dtype)
        copy._a[...] = array
        return copy

    def sent(self, array):
        self.uploads.append((array.dtype.name, array.nbytes))
        return self.fresh(array)

    def apply(self, function, inputs, how):
        """Call a NumPy function on device arrays."""
        out = how.get("out")
        if function is np.matmul and out is not None:
            assert out.flags.c_contiguous
            assert inputs[0].dtype == inputs[1].dtype == out.dtype
        result = function(*map(self.bare, inputs), **{key: self.bare(value) for key, value in how.items()})
        if out is not None:
            return out
        return [self.fresh(part) for part in result] if isinstance(result, list) else self.fresh(result)

    def bare(self, value):
        if isinstance(value, Array):
            return value._a
        if isinstance(value, list | tuple):
            return type(value)(map(self.bare, value))
        if isinstance(value, np.ndarray) and value.ndim:
            raise TypeError("Unsupported type <class 'numpy.ndarray'>")
        return value

    def index(self, index):
        if isinstance(index, tuple):
            return index
        if isinstance(index, np.ndarray):
            raise TypeError("a NumPy index is sent to the device each time")
        if isinstance(index, Array):
            raise TypeError("assignment by index arrays is not implemented: the package does not need it")
        return index if index is ... else (index, ...)  # a view, also of a single number

    def launch(self, name, grid, block, arguments):
        check(name, instance_types(name), arguments)
        self.launches += 1
        self.kernels(name, grid, block, [self.bare(a) for a in arguments], fibers=self.fibers)
        for array in arguments:
            if isinstance(array, Array):
                array._memory.check()


class RawModule:
    def __init__(self, device, code, options, name_expressions):
        assert "--std=c++17" in options
        self._device, self._names = device, name_expressions

    def get_function(self, name):
        assert name in self._names
        return lambda grid, block, arguments: self._device.launch(name, grid, block, arguments)


class Stream:
    ptr = 0

    def record(self, event=None):
        return event or Event()

    def wait_event(self, event):
        assert isinstance(event, Event)

    def synchronize(self):
        pass


class Event:
    def record(self, stream=None):
        pass

    def synchronize(self):
        pass


def module(device):
    """Return the module that replaces `cupy`."""
    fake = ModuleType("cupy")
    fake.__spec__ = ModuleSpec("cupy", None)
    for name in ("float32", "float64", "int64"):
        setattr(fake, name, getattr(np, name))
    for name in (*FUNCTIONS, "exp", "arange"):
        function = getattr(np, name)
        setattr(fake, name, lambda *inputs, function=function, **how: device.apply(function, inputs, how))
    fake.ndarray, fake.empty = Array, device.empty
    fake.empty_like = lambda like: device.empty(like.shape, like.dtype)
    fake.zeros_like = lambda like: device.fresh(np.zeros(like.shape, like.dtype))
    fake.asarray = lambda a, dtype=None: a if isinstance(a, Array) else device.sent(np.asarray(a, dtype))
    fake.asnumpy = lambda a: a.get() if isinstance(a, Array) else np.asarray(a)
    fake.RawModule = lambda code, options, name_expressions: RawModule(device, code, options, name_expressions)
    pool = SimpleNamespace(free_all_blocks=lambda: None)
    fake.get_default_memory_pool = fake.get_default_pinned_memory_pool = lambda: pool
    compute = {np.float32: 1}
    fake._core = SimpleNamespace(get_compute_type=compute.get, set_compute_type=compute.__setitem__)
    fake.compute = compute
    fake.cuda, fake.simulated = _cuda(device), device
    return fake


def _cuda(device):
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1,
        memGetInfo=lambda: (device.memory - device.used, device.memory),
        getDeviceProperties=lambda number: {"name": b"Fake", "major": 9, "minor": 0},
        driverGetVersion=lambda: 13000,
        runtimeGetVersion=lambda: 13000,
        deviceSynchronize=lambda: None,
        memcpyAsync=lambda to, of, size, kind, stream: ctypes.memmove(to, of, size),
        memcpyDeviceToDevice=3,
    )
    return SimpleNamespace(
        runtime=runtime,
        Stream=lambda non_blocking=False: Stream(),
        Event=Event,
        get_current_stream=Stream,
        alloc_pinned_memory=bytearray,
        memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
    )


@contextmanager
def installed(device):
    """Make `import cupy` return the simulated module."""
    from audiosae.backends.gpu_launch import kernels

    before, sys.modules["cupy"] = sys.modules.get("cupy"), module(device)
    try:
        yield sys.modules["cupy"]
    finally:
        kernels.cache_clear()
        del sys.modules["cupy"]
        if before is not None:
            sys.modules["cupy"] = before
