# The probe of the machine's peak, for bench/machine.py, which asks for it by -DTHOR_BENCH=ON.
add_library(thor_peaks SHARED ${CMAKE_SOURCE_DIR}/bench/peaks.cc)
