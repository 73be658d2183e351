// One line binds a function of the C ABI to Python: pointers become C-contiguous NumPy arrays of exactly that element
// type (never a converted copy, so an output is what the caller passed), numbers stay numbers, a status raises.
// Sizes are not compared with the arrays here: kernels/<operation>/native.py has done that.
#ifndef THOR_COMMON_BIND_FUNCTION_H_
#define THOR_COMMON_BIND_FUNCTION_H_

#include "common/bindings.h"

namespace thor {

template <typename T>
struct BoundArgument {
  using Type = T;
  static T Pass(T value) { return value; }
};
template <typename T>
struct BoundArgument<const T*> {
  using Type = py::array_t<T, py::array::c_style>;
  static const T* Pass(const Type& array) { return array.data(); }
};
template <typename T>
struct BoundArgument<T*> {
  using Type = py::array_t<T, py::array::c_style>;
  static T* Pass(Type& array) { return array.mutable_data(); }
};

// `operation` is the name in error messages.
template <typename... A>
void BindFunction(py::module_& module, const char* name, const char* operation, int (*function)(A...)) {
  const auto call = [=](typename BoundArgument<A>::Type... arguments) {
    const auto run = [&](auto... passed) {
      py::gil_scoped_release release;
      return function(passed...);
    };
    RaiseIfFailed(operation, run(BoundArgument<A>::Pass(arguments)...));
  };
  module.def(name, call, (static_cast<void>(sizeof(A)), py::arg().noconvert())...);
}

}  // namespace thor

#endif  // THOR_COMMON_BIND_FUNCTION_H_
