#include "momentum/body.h"

const thor::MomentumImplementation thor::momentum_avx512 = kImplementation;
