// Helpers for the entry points that MindSpore's Custom(func_type="aot") calls:
//   int NAME(int nparam, void** params, int* ndims, int64_t** shapes, const char** dtypes, void* stream, void* extra)
// params holds the inputs, then the outputs. The framework checks nothing, so every entry point checks count, types and
// shapes itself and returns a thor_status; only then does it call the typed function of the operation.
#ifndef THOR_COMMON_AOT_H_
#define THOR_COMMON_AOT_H_

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "common/export.h"
#include "common/sizes.h"
#include "common/status.h"

namespace thor {

class AotArguments {
 public:
  AotArguments(int count, void** params, const int* ndims, int64_t** shapes, const char** dtypes)
      : count_(count), params_(params), ndims_(ndims), shapes_(shapes), dtypes_(dtypes) {}

  // One type name per tensor, inputs first. Also refuses shapes that cannot be, and null pointers to tensors of a few
  // elements, which an entry point may read itself; the typed functions refuse the others, after the shapes. So a call
  // without data tells whether types and shapes would be taken (kernels/entry_points.py). The other functions may be
  // called only after THOR_OK.
  int Check(std::initializer_list<const char*> dtypes) const {
    if (params_ == nullptr || ndims_ == nullptr || shapes_ == nullptr || dtypes_ == nullptr) return THOR_NULL_POINTER;
    if (count_ != static_cast<int>(dtypes.size())) return THOR_BAD_ARGUMENT_COUNT;
    int i = 0;
    for (const char* dtype : dtypes) {
      if (!Is(i, dtype)) return THOR_BAD_DTYPE;
      if (const int status = CheckShape(i)) return status;
      ++i;
    }
    for (i = 0; i < count_; ++i)
      if (params_[i] == nullptr && Elements(i) != 0 && Elements(i) <= kFewElements) return THOR_NULL_POINTER;
    return THOR_OK;
  }

  // The type of the activations in tensor i, for Check: bfloat16 where they are that, else float32.
  const char* Activations(int i) const {
    return i < count_ && dtypes_ != nullptr && Is(i, "bfloat16") ? "bfloat16" : "float32";
  }

  bool Is(int i, const char* dtype) const { return dtypes_[i] != nullptr && std::strcmp(dtypes_[i], dtype) == 0; }
  int Rank(int i) const { return ndims_[i]; }
  // Size of axis `axis` of tensor i; negative axes count from the end; 1 where the tensor has no such axis.
  int64_t Dim(int i, int axis) const {
    const int k = axis < 0 ? ndims_[i] + axis : axis;
    return k < 0 || k >= ndims_[i] ? 1 : shapes_[i][k];
  }
  int64_t Elements(int i) const {
    int64_t product = 1;
    for (int k = 0; k < ndims_[i]; ++k) product *= shapes_[i][k];
    return product;
  }
  // Rows of tensor i seen as a matrix whose columns are its last axis.
  int64_t Rows(int i) const { return Dim(i, -1) == 0 ? 0 : Elements(i) / Dim(i, -1); }
  bool SameShape(int i, int j) const {
    if (ndims_[i] != ndims_[j]) return false;
    for (int k = 0; k < ndims_[i]; ++k)
      if (shapes_[i][k] != shapes_[j][k]) return false;
    return true;
  }
  template <typename T>
  T* Data(int i) const {
    return static_cast<T*>(params_[i]);
  }

 private:
  static constexpr int kMaxRank = 8, kFewElements = 16;

  // Every size and the product of all sizes above 0 fit in the address space.
  int CheckShape(int i) const {
    if (ndims_[i] < 0 || ndims_[i] > kMaxRank) return THOR_BAD_SHAPE;
    if (ndims_[i] > 0 && shapes_[i] == nullptr) return THOR_NULL_POINTER;
    return CouldExist(shapes_[i], ndims_[i]) ? THOR_OK : THOR_BAD_SIZE;
  }

  int count_;
  void** params_;
  const int* ndims_;
  int64_t** shapes_;
  const char** dtypes_;
};

}  // namespace thor

#define THOR_AOT_PARAMETERS \
  int nparam, void **params, int *ndims, int64_t **shapes, const char **dtypes, void *stream, void *extra
#define THOR_AOT_ARGUMENTS thor::AotArguments(nparam, params, ndims, shapes, dtypes)

#endif  // THOR_COMMON_AOT_H_
