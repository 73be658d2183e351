#include "common/bindings.h"

#include "l2_norm/l2_norm.h"

THOR_BIND(thor_l2_norm_f32);
