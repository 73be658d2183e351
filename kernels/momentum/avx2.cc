#include "momentum/body.h"

const thor::MomentumImplementation thor::momentum_avx2 = kImplementation;
