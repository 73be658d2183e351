#ifndef THOR_COMMON_EXPORT_H_
#define THOR_COMMON_EXPORT_H_
#define THOR_EXPORT __attribute__((visibility("default")))
#endif  // THOR_COMMON_EXPORT_H_
