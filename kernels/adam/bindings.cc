#include "common/bindings.h"

#include "adam/adam.h"

THOR_BIND(thor_adam_f32);
THOR_BIND(thor_adam_update_f32);
