#include "adam/adam.h"
#include "common/bind_function.h"

namespace thor {

void BindAdam(py::module_& module) {
  BindFunction(module, "adam_f32", "adam", thor_adam_f32);
  BindFunction(module, "adam_update_f32", "adam_update", thor_adam_update_f32);
}

}  // namespace thor
