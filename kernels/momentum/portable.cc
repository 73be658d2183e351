#include "momentum/body.h"

const thor::MomentumImplementation thor::momentum_portable = kImplementation;
