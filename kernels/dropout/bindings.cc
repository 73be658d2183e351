#include "common/bind_function.h"
#include "dropout/dropout.h"

namespace thor {

void BindDropout(py::module_& module) {
  BindFunction(module, "dropout_f32", "dropout", thor_dropout_f32);
  BindFunction(module, "dropout_bf16", "dropout", thor_dropout_bf16);
  BindFunction(module, "philox_u32", "philox", thor_philox_u32);
}

}  // namespace thor
