#include "bias_gelu/body.h"

const thor::BiasGeluImplementation thor::bias_gelu_avx2 = kImplementation;
