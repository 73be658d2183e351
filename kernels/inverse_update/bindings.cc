#include "common/bind_function.h"
#include "inverse_update/inverse_update.h"

namespace thor {

void BindInverseUpdate(py::module_& module) {
  BindFunction(module, "inverse_update_f32", "inverse_update", thor_inverse_update_f32);
}

}  // namespace thor
