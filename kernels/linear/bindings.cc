#include "common/bindings.h"

#include "linear/linear.h"

THOR_BIND(thor_linear_f32);
THOR_BIND(thor_linear_bf16);
THOR_BIND(thor_linear_grad_f32);
THOR_BIND(thor_linear_grad_bf16);
