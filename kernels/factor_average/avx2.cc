#include "factor_average/body.h"

const thor::FactorAverageImplementation thor::factor_average_avx2 = kImplementation;
