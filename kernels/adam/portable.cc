#include "adam/body.h"

const thor::AdamImplementation thor::adam_portable = kImplementation;
