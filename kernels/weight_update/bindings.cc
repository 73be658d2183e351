#include "common/bindings.h"

#include "weight_update/weight_update.h"

THOR_BIND(thor_weight_update_f32);
