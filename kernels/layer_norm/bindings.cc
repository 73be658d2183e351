#include "common/bind_function.h"
#include "layer_norm/layer_norm.h"

namespace thor {

void BindLayerNorm(py::module_& module) {
  BindFunction(module, "layer_norm_f32", "layer_norm", thor_layer_norm_f32);
  BindFunction(module, "layer_norm_bf16", "layer_norm", thor_layer_norm_bf16);
  BindFunction(module, "layer_norm_grad_f32", "layer_norm_grad", thor_layer_norm_grad_f32);
  BindFunction(module, "layer_norm_grad_bf16", "layer_norm_grad", thor_layer_norm_grad_bf16);
}

}  // namespace thor
