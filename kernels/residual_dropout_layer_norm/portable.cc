#include "residual_dropout_layer_norm/body.h"

const thor::ResidualDropoutImplementation thor::residual_dropout_layer_norm_portable = kImplementation;
