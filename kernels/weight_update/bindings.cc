#include "common/bind_function.h"
#include "weight_update/weight_update.h"

namespace thor {

void BindWeightUpdate(py::module_& module) {
  BindFunction(module, "weight_update_f32", "weight_update", thor_weight_update_f32);
}

}  // namespace thor
