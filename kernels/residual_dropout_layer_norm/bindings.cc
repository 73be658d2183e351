#include "common/bindings.h"

#include "residual_dropout_layer_norm/residual_dropout_layer_norm.h"

THOR_BIND(thor_residual_dropout_layer_norm_f32);
THOR_BIND(thor_residual_dropout_layer_norm_bf16);
THOR_BIND(thor_residual_dropout_layer_norm_grad_f32);
THOR_BIND(thor_residual_dropout_layer_norm_grad_bf16);
