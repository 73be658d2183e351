// The module `bert_thor.kernels._native`. Each operation brings a bindings.cc with one Bind... function; it is listed
// here.
#include "common/bindings.h"

#include "common/isa.h"
#include "common/parallel.h"

namespace thor {
void BindAdam(py::module_& module);
void BindAttention(py::module_& module);
void BindBiasGelu(py::module_& module);
void BindCholeskyInverse(py::module_& module);
void BindDropout(py::module_& module);
void BindEmbedding(py::module_& module);
void BindFactorAverage(py::module_& module);
void BindFisherCovariance(py::module_& module);
void BindInverseUpdate(py::module_& module);
void BindL2Norm(py::module_& module);
void BindLayerNorm(py::module_& module);
void BindMomentum(py::module_& module);
void BindPrecondition(py::module_& module);
void BindResidualDropoutLayerNorm(py::module_& module);
void BindSoftmaxCrossEntropy(py::module_& module);
void BindWeightUpdate(py::module_& module);
}  // namespace thor

PYBIND11_MODULE(_native, module) {
  module.doc() = "The CPU kernels on NumPy arrays; use bert_thor.kernels.<operation>.native instead of this module.";
  module.def("isa", &thor_isa);
  module.def("isa_supported", &thor_isa_supported);
  module.def("set_isa", &thor_set_isa, pybind11::arg("isa"));
  module.def("abi_version", &thor_abi_version);
  module.def("num_threads", &thor_num_threads);
  module.def("set_num_threads", &thor_set_num_threads, pybind11::arg("threads"));
  thor::BindAdam(module);
  thor::BindAttention(module);
  thor::BindBiasGelu(module);
  thor::BindCholeskyInverse(module);
  thor::BindDropout(module);
  thor::BindEmbedding(module);
  thor::BindFactorAverage(module);
  thor::BindFisherCovariance(module);
  thor::BindInverseUpdate(module);
  thor::BindL2Norm(module);
  thor::BindLayerNorm(module);
  thor::BindMomentum(module);
  thor::BindPrecondition(module);
  thor::BindResidualDropoutLayerNorm(module);
  thor::BindSoftmaxCrossEntropy(module);
  thor::BindWeightUpdate(module);
}
