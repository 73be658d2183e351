#include "common/bindings.h"

#include "softmax_cross_entropy/softmax_cross_entropy.h"

THOR_BIND(thor_softmax_cross_entropy_f32);
THOR_BIND(thor_softmax_cross_entropy_bf16);
THOR_BIND(thor_softmax_cross_entropy_grad_f32);
THOR_BIND(thor_softmax_cross_entropy_grad_bf16);
