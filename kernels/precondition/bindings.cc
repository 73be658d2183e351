#include "common/bind_function.h"
#include "precondition/precondition.h"

namespace thor {

void BindPrecondition(py::module_& module) {
  BindFunction(module, "precondition_f32", "precondition", thor_precondition_f32);
}

}  // namespace thor
