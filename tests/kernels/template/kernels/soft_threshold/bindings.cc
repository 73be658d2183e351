#include "common/bindings.h"

#include "soft_threshold/soft_threshold.h"

THOR_BIND(thor_soft_threshold_f32);
