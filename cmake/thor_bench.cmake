# The probe of the machine's peak, for bench/: built only when asked for.
add_library(thor_peaks SHARED EXCLUDE_FROM_ALL ${CMAKE_SOURCE_DIR}/bench/peaks.cc)
