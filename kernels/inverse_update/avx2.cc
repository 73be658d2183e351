#include "inverse_update/body.h"

const thor::InverseUpdateImplementation thor::inverse_update_avx2 = kImplementation;
