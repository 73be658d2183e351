#include "common/bind_function.h"
#include "fisher_covariance/fisher_covariance.h"

namespace thor {

void BindFisherCovariance(py::module_& module) {
  BindFunction(module, "fisher_covariance_f32", "fisher_covariance", thor_fisher_covariance_f32);
  BindFunction(module, "fisher_covariance_bf16", "fisher_covariance", thor_fisher_covariance_bf16);
}

}  // namespace thor
