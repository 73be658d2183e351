# The only place with compiler flags. An instruction set has those of its THOR_FLAGS_...: its copy of every kernels/*/body.h
# (thor_library.cmake) and the files of kernels/*/ that are named after it are compiled with them, all else with the baseline.
set(CMAKE_CXX_STANDARD 17)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release)
endif()
set(CMAKE_CXX_FLAGS_RELEASE "-O3 -DNDEBUG")

# No contraction behind our back: where a kernel fuses a multiply and an add it says so, and portable code rounds the same everywhere.
add_compile_options(-Wall -Wextra -Werror=return-type -ffp-contract=off -fno-math-errno -fvisibility=hidden)

set(THOR_FLAGS_portable "")
set(THOR_FLAGS_avx2 -mavx2 -mfma -mf16c)
set(THOR_FLAGS_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mprefer-vector-width=512)
set(THOR_FLAGS_avx512_bf16 ${THOR_FLAGS_avx512} -mavx512bf16)

# Which of them this processor's library has: every body is compiled for these.
set(THOR_X86 OFF)
set(THOR_COMPILED portable)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(THOR_X86 ON)
  set(THOR_COMPILED portable avx2 avx512 avx512_bf16)
endif()

# Sanitizers for `make sanitize`: -DTHOR_SANITIZE=address,undefined or thread
set(THOR_SANITIZE "" CACHE STRING "comma-separated sanitizers")
if(THOR_SANITIZE)
  add_compile_options(-fsanitize=${THOR_SANITIZE} -fno-omit-frame-pointer -g -O1)
  add_link_options(-fsanitize=${THOR_SANITIZE})
endif()
