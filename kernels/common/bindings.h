// THOR_BIND(thor_<operation>_<type>) binds a function of the C ABI to Python as <operation>_<type>: pointers become
// C-contiguous NumPy arrays of exactly that element type (never a converted copy, so an output is what the caller
// passed), numbers stay numbers, a status raises. Sizes are not compared with the arrays here:
// kernels/<operation>/native.py has done that.
#ifndef THOR_COMMON_BINDINGS_H_
#define THOR_COMMON_BINDINGS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "common/status.h"

namespace thor {

namespace py = pybind11;

// Raises bert_thor.kernels.status.KernelError with the sentence that belongs to the code, for the name without its
// type.
inline void RaiseIfFailed(const char* name, int status) {
  if (status == THOR_OK) return;
  const std::string operation = name;
  py::module_::import("bert_thor.kernels.status")
      .attr("raise_for_status")(operation.substr(0, operation.rfind('_')), status);
}

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

template <typename... A>
void BindFunction(py::module_& module, const char* name, int (*function)(A...)) {
  const auto call = [=](typename BoundArgument<A>::Type... arguments) {
    const auto run = [&](auto... passed) {
      py::gil_scoped_release release;
      return function(passed...);
    };
    RaiseIfFailed(name, run(BoundArgument<A>::Pass(arguments)...));
  };
  module.def(name, call, (static_cast<void>(sizeof(A)), py::arg().noconvert())...);
}

// What the module will hold: filled before it is initialised, by static objects of the files that use THOR_BIND.
struct Binding {
  const char* name;
  void (*bind)(py::module_& module, const char* name);
};
inline std::vector<Binding>& Bindings() {
  static std::vector<Binding> bindings;
  return bindings;
}

template <auto kFunction>
bool Register(const char* symbol) {
  constexpr size_t kPrefix = sizeof("thor_") - 1;
  Bindings().push_back(
      {symbol + kPrefix, [](py::module_& module, const char* name) { BindFunction(module, name, kFunction); }});
  return true;
}

}  // namespace thor

#define THOR_BIND(function) [[maybe_unused]] static const bool function##_is_bound = thor::Register<function>(#function)

#endif  // THOR_COMMON_BINDINGS_H_
