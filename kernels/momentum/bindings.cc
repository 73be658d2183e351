#include "common/bind_function.h"
#include "momentum/momentum.h"

namespace thor {

void BindMomentum(py::module_& module) {
  BindFunction(module, "nesterov_momentum_f32", "nesterov_momentum", thor_nesterov_momentum_f32);
  BindFunction(module, "heavy_ball_f32", "heavy_ball", thor_heavy_ball_f32);
}

}  // namespace thor
