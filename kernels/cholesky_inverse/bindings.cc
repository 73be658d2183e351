#include "cholesky_inverse/cholesky_inverse.h"
#include "common/bind_function.h"

namespace thor {

void BindCholeskyInverse(py::module_& module) {
  BindFunction(module, "cholesky_inverse_f32", "cholesky_inverse", thor_cholesky_inverse_f32);
}

}  // namespace thor
