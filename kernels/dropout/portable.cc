#include "dropout/body.h"

const thor::DropoutImplementation thor::dropout_portable = kImplementation;
