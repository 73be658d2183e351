# The only place with compiler flags, and the list of instruction sets. What belongs to one of them is compiled with its flags:
# its copy of every kernels/*/body.h, and the files of kernels/*/ that are named after it. All else has the compiler's baseline.
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

set(THOR_INSTRUCTION_SETS portable avx2 avx512 avx512_bf16)
set(THOR_X86 OFF)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(THOR_X86 ON)
  set(THOR_COMPILED ${THOR_INSTRUCTION_SETS})
  set(THOR_OF_EVERY_BODY portable avx2 avx512)  # the last one only where there is a file of that name
else()
  set(THOR_COMPILED portable)
  set(THOR_OF_EVERY_BODY portable)
endif()

# Sanitizers for `make sanitize`: -DTHOR_SANITIZE=address,undefined or thread
set(THOR_SANITIZE "" CACHE STRING "comma-separated sanitizers")
if(THOR_SANITIZE)
  add_compile_options(-fsanitize=${THOR_SANITIZE} -fno-omit-frame-pointer -g -O1)
  add_link_options(-fsanitize=${THOR_SANITIZE})
endif()
