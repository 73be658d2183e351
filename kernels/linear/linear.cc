#include "linear/linear.h"

#include <algorithm>

#include "common/aot.h"
#include "common/dispatch.h"
#include "common/parallel.h"
#include "common/scratch.h"
#include "linear/implementation.h"

namespace {

const thor::LinearImplementation& Implementation() { return THOR_CHOOSE(thor::linear); }

int64_t CeilDivide(int64_t x, int64_t y) { return (x + y - 1) / y; }

// Blocks as large as they may be with which every thread has its share. An element is the same sum in any block.
template <typename Product>
Product WithBlocks(Product p, int threads) {
  constexpr int64_t kStep = 2 * Product::kLanes;
  const int64_t workers = thor::Workers(INT64_MAX, threads);
  const int64_t blocks = CeilDivide(CeilDivide(p.columns, p.kWidth), workers) * workers;
  p.width = CeilDivide(CeilDivide(p.columns, blocks), kStep) * kStep;
  const int64_t parts = CeilDivide(workers, CeilDivide(p.columns, p.width));
  p.height = CeilDivide(CeilDivide(p.rows, parts), kStep) * kStep;
  return p;
}

// Whether two tensors have the same leading axes.
bool SameRows(const thor::AotArguments& a, int i, int j) {
  if (a.Rank(i) < 1 || a.Rank(i) != a.Rank(j)) return false;
  for (int axis = 0; axis < a.Rank(i) - 1; ++axis)
    if (a.Dim(i, axis) != a.Dim(j, axis)) return false;
  return true;
}

// A product with its scratch memory, allocated before anything is written.
template <typename Left, typename Right, typename Out>
class Prepared {
 public:
  using Product = thor::LinearProduct<Left, Right, Out>;
  Prepared(const thor::LinearFunctions<Left, Right, Out>& functions, Product product, int threads)
      : functions_(functions),
        product_(product.Empty() ? product : WithBlocks(product, threads)),
        threads_(threads),
        packed_(1, product_.Empty() ? 0 : product_.PackedSize()),
        scratch_(thor::Workers(product_.Tasks(), threads), product_.Empty() ? 0 : product_.ScratchSize()) {
    product_.packed = packed_.ForWorker(0);
  }

  bool Failed() const { return !product_.Empty() && (packed_.Failed() || scratch_.Failed()); }

  void Run() const {
    if (product_.Empty()) {
      std::fill_n(product_.out, product_.rows * product_.columns, Out{});
      return;
    }
    thor::ParallelFor(product_.PackTasks(), threads_,
                      [&](int64_t begin, int64_t end, int) { functions_.pack(product_, begin, end); });
    thor::ParallelFor(product_.Tasks(), threads_, [&](int64_t begin, int64_t end, int worker) {
      functions_.multiply(product_, begin, end, scratch_.ForWorker(worker));
    });
  }

 private:
  const thor::LinearFunctions<Left, Right, Out>& functions_;
  Product product_;
  int threads_;
  thor::Scratch packed_, scratch_;
};

template <typename T>
struct Layer {
  const T* x;
  const float* weight;
  int64_t rows, inputs, outputs;

  bool CouldExist() const {
    return thor::CouldExist({rows, inputs}) && thor::CouldExist({rows, outputs}) && thor::CouldExist({outputs, inputs});
  }
  bool Missing() const {
    return (x == nullptr && rows != 0 && inputs != 0) || (weight == nullptr && inputs != 0 && outputs != 0);
  }
};

template <typename T>
int Forward(const thor::LinearFunctions<T, float, T>& functions, int64_t elements, const Layer<T>& a, T* y,
            int threads) {
  if (!a.CouldExist()) return THOR_BAD_SIZE;
  if (a.Missing() || (y == nullptr && a.rows != 0 && a.outputs != 0)) return THOR_NULL_POINTER;
  const Prepared<T, float, T> product(
      functions, {{a.x, a.inputs, false}, {a.weight, a.inputs, false}, a.rows, a.outputs, a.inputs, y, elements},
      threads);
  if (product.Failed()) return THOR_OUT_OF_MEMORY;
  product.Run();
  return THOR_OK;
}

template <typename T>
int Backward(const thor::LinearFunctions<T, float, T>& to_input, const thor::LinearFunctions<T, T, float>& to_weight,
             int64_t elements, const T* dy, const Layer<T>& a, T* dx, float* dw, int threads) {
  if (!a.CouldExist()) return THOR_BAD_SIZE;
  if (a.Missing() || (dy == nullptr && a.rows != 0 && a.outputs != 0)) return THOR_NULL_POINTER;
  if ((dx == nullptr && a.rows != 0 && a.inputs != 0) || (dw == nullptr && a.outputs != 0 && a.inputs != 0))
    return THOR_NULL_POINTER;
  const Prepared<T, float, T> input(
      to_input, {{dy, a.outputs, false}, {a.weight, a.inputs, true}, a.rows, a.inputs, a.outputs, dx, elements},
      threads);
  const Prepared<T, T, float> weight(
      to_weight, {{dy, a.outputs, true}, {a.x, a.inputs, true}, a.outputs, a.inputs, a.rows, dw, elements}, threads);
  if (input.Failed() || weight.Failed()) return THOR_OUT_OF_MEMORY;
  input.Run();
  weight.Run();
  return THOR_OK;
}

constexpr const char* kF32 = "float32";

}  // namespace

extern "C" {

int thor_linear_f32(const float* x, const float* weight, int64_t rows, int64_t inputs, int64_t outputs, float* y,
                    int threads) {
  return Forward(Implementation().f32, 1, {x, weight, rows, inputs, outputs}, y, threads);
}

int thor_linear_bf16(const uint16_t* x, const float* weight, int64_t rows, int64_t inputs, int64_t outputs, uint16_t* y,
                     int threads) {
  const thor::LinearImplementation& implementation = Implementation();
  return Forward(implementation.bf16, implementation.bf16_elements, {x, weight, rows, inputs, outputs}, y, threads);
}

int thor_linear_grad_f32(const float* dy, const float* x, const float* weight, int64_t rows, int64_t inputs,
                         int64_t outputs, float* dx, float* dw, int threads) {
  const auto& functions = Implementation().f32;
  return Backward(functions, functions, 1, dy, {x, weight, rows, inputs, outputs}, dx, dw, threads);
}

int thor_linear_grad_bf16(const uint16_t* dy, const uint16_t* x, const float* weight, int64_t rows, int64_t inputs,
                          int64_t outputs, uint16_t* dx, float* dw, int threads) {
  const thor::LinearImplementation& implementation = Implementation();
  return Backward(implementation.bf16, implementation.bf16_weight_gradient, implementation.bf16_elements, dy,
                  {x, weight, rows, inputs, outputs}, dx, dw, threads);
}

int thor_linear(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const type = a.Activations(0);
  if (const int status = a.Check({type, kF32, type})) return status;
  const int64_t rows = a.Rows(0), inputs = a.Dim(0, -1), outputs = a.Dim(1, 0);
  if (a.Rank(0) < 1 || a.Rank(1) != 2 || a.Dim(1, 1) != inputs || !SameRows(a, 0, 2) || a.Dim(2, -1) != outputs)
    return THOR_BAD_SHAPE;
  const float* const weight = a.Data<float>(1);
  if (a.Is(0, "bfloat16"))
    return thor_linear_bf16(a.Data<uint16_t>(0), weight, rows, inputs, outputs, a.Data<uint16_t>(2), 0);
  return thor_linear_f32(a.Data<float>(0), weight, rows, inputs, outputs, a.Data<float>(2), 0);
}

int thor_linear_grad(THOR_AOT_PARAMETERS) {
  (void)stream, (void)extra;
  const thor::AotArguments a = THOR_AOT_ARGUMENTS;
  const char* const type = a.Activations(0);
  if (const int status = a.Check({type, type, kF32, type, kF32})) return status;
  const int64_t rows = a.Rows(1), inputs = a.Dim(1, -1), outputs = a.Dim(0, -1);
  if (a.Rank(2) != 2 || a.Dim(2, 0) != outputs || a.Dim(2, 1) != inputs || !SameRows(a, 0, 1) || !a.SameShape(1, 3) ||
      !a.SameShape(2, 4))
    return THOR_BAD_SHAPE;
  const float* const weight = a.Data<float>(2);
  float* const dw = a.Data<float>(4);
  if (a.Is(0, "bfloat16"))
    return thor_linear_grad_bf16(a.Data<uint16_t>(0), a.Data<uint16_t>(1), weight, rows, inputs, outputs,
                                 a.Data<uint16_t>(3), dw, 0);
  return thor_linear_grad_f32(a.Data<float>(0), a.Data<float>(1), weight, rows, inputs, outputs, a.Data<float>(3), dw,
                              0);
}

}  // extern "C"
