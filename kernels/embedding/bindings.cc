#include "common/bind_function.h"
#include "embedding/embedding.h"

namespace thor {

void BindEmbedding(py::module_& module) {
  BindFunction(module, "embedding_f32", "embedding", thor_embedding_f32);
  BindFunction(module, "embedding_grad_f32", "embedding_grad", thor_embedding_grad_f32);
}

}  // namespace thor
