// Exponential and normal distribution functions on sixteen lanes. For the files of one instruction set, as lanes.h.
#ifndef THOR_COMMON_ELEMENTARY_H_
#define THOR_COMMON_ELEMENTARY_H_

#include "common/lanes.h"

namespace {

// c[0] + c[1] x + ... by Horner's rule.
template <int kTerms>
THOR_INLINE Floats Polynomial(Floats x, const float (&c)[kTerms]) {
  Floats sum = Set(c[kTerms - 1]);
#pragma GCC unroll 16
  for (int i = kTerms - 2; i >= 0; --i) sum = MultiplyAdd(sum, x, Set(c[i]));
  return sum;
}

// e^x within 2 units in the last place for x <= 88; 0 below -87.3 (where the result would be subnormal), NaN for NaN.
// The argument is split as n log(2) + r; the polynomial is Cephes' (Moshier) for |r| <= log(2) / 2.
THOR_INLINE Floats Exp(Floats x) {
  constexpr float kPolynomial[] = {1.0f,
                                   1.0f,
                                   5.0000001201e-1f,
                                   1.6666665459e-1f,
                                   4.1665795894e-2f,
                                   8.3334519073e-3f,
                                   1.3981999507e-3f,
                                   1.9875691500e-4f};
  const Floats smallest = Set(-87.3f);
  const Floats bounded = Min(Set(88.0f), Max(smallest, x));
  const Floats n = RoundToNearest(bounded * Set(1.44269504f));
  const Floats r = MultiplyAdd(n, Set(2.12194440e-4f), MultiplyAdd(n, Set(-0.693359375f), bounded));
  return WhereLess(x, smallest, Set(0), ScaleByPowerOfTwo(Polynomial(r, kPolynomial), n));
}

struct Normal {
  Floats distribution, density;  // Phi(x), phi(x)
};

// Phi(-a) = exp(-a^2 / 2) q(t), t = 1 / (1 + 0.27 a), for a >= 0, with a polynomial for q that is accurate to 3e-8;
// so both tails keep their relative accuracy, (2 + x^2 / 2) units in the last place.
THOR_INLINE Normal NormalDistribution(Floats x) {
  constexpr float kTail[] = {0.107722849f,   0.107503928f, 0.102098994f,  0.0708854124f, 0.110635772f,
                             -0.0733767971f, 0.173502684f, -0.128315911f, 0.0293430891f};
  const Floats zero = Set(0);
  const Floats a = WhereLess(x, zero, zero - x, x);
  const Floats bell = Exp(a * a * Set(-0.5f));
  const Floats t = Reciprocal(MultiplyAdd(a, Set(0.27f), Set(1)));
  const Floats tail = bell * t * Polynomial(t, kTail);
  return {WhereLess(x, zero, tail, Set(1) - tail), bell * Set(0.398942280f)};
}

}  // namespace

#endif  // THOR_COMMON_ELEMENTARY_H_
