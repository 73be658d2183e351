#include "common/bindings.h"

#include "momentum/momentum.h"

THOR_BIND(thor_nesterov_momentum_f32);
THOR_BIND(thor_heavy_ball_f32);
