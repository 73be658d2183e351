#include "common/bindings.h"

#include "add/add.h"

THOR_BIND(thor_add_f32);
THOR_BIND(thor_add_bf16);
