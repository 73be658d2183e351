#include "adam/body.h"

const thor::AdamImplementation thor::adam_avx512 = kImplementation;
