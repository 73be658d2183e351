#include "common/bindings.h"

#include "factor_average/factor_average.h"

THOR_BIND(thor_factor_average_f32);
