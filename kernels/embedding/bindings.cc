#include "common/bindings.h"

#include "embedding/embedding.h"

THOR_BIND(thor_embedding_f32);
THOR_BIND(thor_embedding_f32_bf16);
THOR_BIND(thor_embedding_bf16);
THOR_BIND(thor_embedding_grad_f32);
THOR_BIND(thor_embedding_grad_f32_bf16);
THOR_BIND(thor_embedding_grad_bf16);
