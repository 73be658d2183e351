#include "common/bindings.h"

#include "precondition/precondition.h"

THOR_BIND(thor_precondition_f32);
