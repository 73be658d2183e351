#include "attention/attention.h"
#include "common/bind_function.h"

namespace thor {

void BindAttention(py::module_& module) {
  BindFunction(module, "attention_f32", "attention", thor_attention_f32);
  BindFunction(module, "attention_grad_f32", "attention_grad", thor_attention_grad_f32);
}

}  // namespace thor
