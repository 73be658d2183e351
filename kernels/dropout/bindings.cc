#include "common/bindings.h"

#include "dropout/dropout.h"

THOR_BIND(thor_dropout_f32);
THOR_BIND(thor_dropout_bf16);
THOR_BIND(thor_philox_u32);
