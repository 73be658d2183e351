// THOR_BIND(thor_<operation>_<type>) binds a function of the C ABI to Python as <operation>_<type>: pointers become
// C-contiguous NumPy arrays of exactly that element type (never a converted copy, so an output is what the caller
// passed), numbers stay numbers, a status raises. An int that comes last is the number of threads. Sizes are not
// compared with the arrays here: kernels/<operation>/native.py has done that.
#ifndef THOR_COMMON_BINDINGS_H_
#define THOR_COMMON_BINDINGS_H_

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <string>
#include <utility>
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

// A number of threads as Python has it; what is none gets a sentence from the function that `native.py` would call.
inline int Threads(const char* name, const py::object& value) {
  int overflow = 0;
  const long threads = PyLong_Check(value.ptr()) ? PyLong_AsLongAndOverflow(value.ptr(), &overflow) : -1;
  if (threads >= 0 && threads <= INT32_MAX && overflow == 0) return static_cast<int>(threads);
  const std::string operation = name;
  return py::module_::import("bert_thor.kernels.arrays")
      .attr("check_threads")(operation.substr(0, operation.rfind('_')), value)
      .cast<int>();
}

template <typename T, bool kLast>
struct BoundArgument {
  using Type = T;
  static T Pass(const char*, T value) { return value; }
};
template <typename T, bool kLast>
struct BoundArgument<const T*, kLast> {
  using Type = py::array_t<T, py::array::c_style>;
  static const T* Pass(const char*, const Type& array) { return array.data(); }
};
template <typename T, bool kLast>
struct BoundArgument<T*, kLast> {
  using Type = py::array_t<T, py::array::c_style>;
  static T* Pass(const char*, Type& array) { return array.mutable_data(); }
};
template <>
struct BoundArgument<int, true> {
  using Type = py::object;
  static int Pass(const char* name, const Type& threads) { return Threads(name, threads); }
};

template <typename... A, size_t... I>
void BindFunction(py::module_& module, const char* name, int (*function)(A...), std::index_sequence<I...>) {
  const auto call = [=](typename BoundArgument<A, I + 1 == sizeof...(A)>::Type... arguments) {
    const auto run = [&](auto... passed) {
      py::gil_scoped_release release;
      return function(passed...);
    };
    RaiseIfFailed(name, run(BoundArgument<A, I + 1 == sizeof...(A)>::Pass(name, arguments)...));
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

template <typename... A>
void BindFunction(py::module_& module, const char* name, int (*function)(A...)) {
  BindFunction(module, name, function, std::index_sequence_for<A...>());
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
