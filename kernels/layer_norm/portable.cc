#include "layer_norm/body.h"

const thor::LayerNormImplementation thor::layer_norm_portable = kImplementation;
