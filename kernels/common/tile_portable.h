// Square tiles of 16 x 16 on any CPU.
#ifndef THOR_COMMON_TILE_PORTABLE_H_
#define THOR_COMMON_TILE_PORTABLE_H_

namespace {

constexpr int kTileRows = 2;
constexpr int kTileVectors = 1;

inline Floats operator/(Floats a, Floats b) {
  return {a.v[0] / b.v[0], a.v[1] / b.v[1], a.v[2] / b.v[2], a.v[3] / b.v[3]};
}
// Zero in the first lanes.
inline Floats DropFirst(Floats a, int count) {
  float lanes[kLanes];
  Store(lanes, a, All{});
  for (int i = 0; i < count; ++i) lanes[i] = 0;
  return Load(lanes, All{});
}
inline Floats SubtractProduct(Floats a, Floats b, Floats from) { return from - a * b; }
inline Floats Lane(Floats a, int i) {
  float lanes[kLanes];
  Store(lanes, a, All{});
  return Set(lanes[i]);
}

inline void Transpose(Floats (&rows)[kLanes]) {
  float before[kLanes][kLanes], after[kLanes][kLanes];
  for (int i = 0; i < kLanes; ++i) Store(before[i], rows[i], All{});
  for (int i = 0; i < kLanes; ++i)
    for (int j = 0; j < kLanes; ++j) after[j][i] = before[i][j];
  for (int i = 0; i < kLanes; ++i) rows[i] = Load(after[i], All{});
}

}  // namespace

#endif  // THOR_COMMON_TILE_PORTABLE_H_
