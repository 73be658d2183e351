#include "common/bindings.h"

#include "bias_gelu/bias_gelu.h"

THOR_BIND(thor_bias_gelu_f32);
THOR_BIND(thor_bias_gelu_bf16);
THOR_BIND(thor_bias_gelu_grad_f32);
THOR_BIND(thor_bias_gelu_grad_bf16);
