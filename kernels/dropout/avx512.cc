#include "dropout/body.h"

const thor::DropoutImplementation thor::dropout_avx512 = kImplementation;
