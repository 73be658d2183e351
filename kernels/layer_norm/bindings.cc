#include "common/bindings.h"

#include "layer_norm/layer_norm.h"

THOR_BIND(thor_layer_norm_f32);
THOR_BIND(thor_layer_norm_bf16);
THOR_BIND(thor_layer_norm_grad_f32);
THOR_BIND(thor_layer_norm_grad_bf16);
