// The module `bert_thor.kernels._native`: what the operations' bindings.cc bind, instruction set and threads.
#include "common/bindings.h"
#include "common/isa.h"
#include "common/parallel.h"

PYBIND11_MODULE(_native, module) {
  module.doc() = "The CPU kernels on NumPy arrays; use bert_thor.kernels.<operation>.native instead of this module.";
  module.def("isa", &thor_isa);
  module.def("isa_supported", &thor_isa_supported);
  module.def("set_isa", &thor_set_isa, pybind11::arg("isa"));
  module.def("abi_version", &thor_abi_version);
  module.def("num_threads", &thor_num_threads);
  module.def("set_num_threads", &thor_set_num_threads, pybind11::arg("threads"));
  for (const thor::Binding& binding : thor::Bindings()) binding.bind(module, binding.name);
}
