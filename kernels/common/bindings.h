// What the pybind11 bindings of the operations share: arrays are checked here, once, and the kernels see plain
// pointers.
#ifndef THOR_COMMON_BINDINGS_H_
#define THOR_COMMON_BINDINGS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "common/status.h"

namespace thor {

namespace py = pybind11;

// C-contiguous float32 input; other types are refused by kernels/<operation>/native.py before they get here.
using FloatArray = py::array_t<float, py::array::c_style>;

// Raises bert_thor.kernels.status.KernelError with the sentence that belongs to the code.
inline void RaiseIfFailed(const char* operation, int status) {
  if (status == THOR_OK) return;
  py::module_::import("bert_thor.kernels.status").attr("raise_for_status")(operation, status);
}

}  // namespace thor

#endif  // THOR_COMMON_BINDINGS_H_
