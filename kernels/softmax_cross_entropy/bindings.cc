#include "common/bind_function.h"
#include "softmax_cross_entropy/softmax_cross_entropy.h"

namespace thor {

void BindSoftmaxCrossEntropy(py::module_& module) {
  BindFunction(module, "softmax_cross_entropy_f32", "softmax_cross_entropy", thor_softmax_cross_entropy_f32);
  BindFunction(module, "softmax_cross_entropy_grad_f32", "softmax_cross_entropy_grad",
               thor_softmax_cross_entropy_grad_f32);
}

}  // namespace thor
