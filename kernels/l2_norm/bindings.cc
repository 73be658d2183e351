#include "common/bind_function.h"
#include "l2_norm/l2_norm.h"

namespace thor {

void BindL2Norm(py::module_& module) { BindFunction(module, "l2_norm_f32", "l2_norm", thor_l2_norm_f32); }

}  // namespace thor
