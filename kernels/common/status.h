// Status codes of every kernel. The C ABI returns them; kernels/status.py turns them into sentences, and is the only
// place that does.
#ifndef THOR_COMMON_STATUS_H_
#define THOR_COMMON_STATUS_H_

#ifdef __cplusplus
extern "C" {
#endif

enum thor_status {
  THOR_OK = 0,
  THOR_NULL_POINTER = 1,        // a required pointer is null
  THOR_BAD_SIZE = 2,            // a size is negative, or too large for the address space
  THOR_BAD_BLOCK = 3,           // a block edge is below 1, above the limit, or does not match the block count
  THOR_BAD_SHAPE = 4,           // shapes of two arguments do not fit together
  THOR_BAD_DTYPE = 5,           // an argument has an element type that the kernel does not take
  THOR_BAD_ARGUMENT_COUNT = 6,  // the framework passed another number of tensors than the entry point takes
  THOR_BAD_VALUE = 7,           // a scalar is outside its range (eps < 0, dropout >= 1, damping < 0, ...)
  THOR_OUT_OF_MEMORY = 8,       // scratch memory could not be allocated
};

#ifdef __cplusplus
}
#endif
#endif  // THOR_COMMON_STATUS_H_
