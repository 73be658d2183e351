#include "common/bind_function.h"
#include "residual_dropout_layer_norm/residual_dropout_layer_norm.h"

namespace thor {

void BindResidualDropoutLayerNorm(py::module_& module) {
  const char *forward = "residual_dropout_layer_norm", *backward = "residual_dropout_layer_norm_grad";
  BindFunction(module, "residual_dropout_layer_norm_f32", forward, thor_residual_dropout_layer_norm_f32);
  BindFunction(module, "residual_dropout_layer_norm_bf16", forward, thor_residual_dropout_layer_norm_bf16);
  BindFunction(module, "residual_dropout_layer_norm_grad_f32", backward, thor_residual_dropout_layer_norm_grad_f32);
  BindFunction(module, "residual_dropout_layer_norm_grad_bf16", backward, thor_residual_dropout_layer_norm_grad_bf16);
}

}  // namespace thor
