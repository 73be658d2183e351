#include "common/bindings.h"

#include "inverse_update/inverse_update.h"

THOR_BIND(thor_inverse_update_f32);
