#include "bias_gelu/bias_gelu.h"
#include "common/bind_function.h"

namespace thor {

void BindBiasGelu(py::module_& module) {
  BindFunction(module, "bias_gelu_f32", "bias_gelu", thor_bias_gelu_f32);
  BindFunction(module, "bias_gelu_grad_f32", "bias_gelu_grad", thor_bias_gelu_grad_f32);
}

}  // namespace thor
