#include "common/bind_function.h"
#include "factor_average/factor_average.h"

namespace thor {

void BindFactorAverage(py::module_& module) {
  BindFunction(module, "factor_average_f32", "factor_average", thor_factor_average_f32);
}

}  // namespace thor
