# SPDX-License-Identifier: Apache-2.0
# Every compiler flag of the tree. Generated code (proto/) takes none of the warnings.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

set(FUTURED_SANITIZE "" CACHE STRING "sanitizers, as -fsanitize= takes them")
option(FUTURED_WERROR "warnings are errors" OFF)
option(FUTURED_HARDEN "_FORTIFY_SOURCE, stack protector, RELRO" ON)
option(FUTURED_COVERAGE "instrument for gcov" OFF)
option(FUTURED_FUZZ "build the libFuzzer targets (clang)" OFF)

# Assertions stay on in every build: a bug aborts, and the service manager restarts.
set(CMAKE_C_FLAGS_DEBUG "-O1 -g")
set(CMAKE_C_FLAGS_RELWITHDEBINFO "-O2 -g")

add_library(futured-flags INTERFACE)
target_compile_definitions(futured-flags INTERFACE _GNU_SOURCE FUTURED_VERSION="${PROJECT_VERSION}")
target_include_directories(futured-flags INTERFACE
  ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/lib ${PROJECT_SOURCE_DIR}/daemon)
target_compile_options(futured-flags INTERFACE
  -Wall -Wextra -Wconversion -Wsign-conversion -Wshadow -Wstrict-prototypes -Wmissing-prototypes
  -Wold-style-definition -Wvla -Wcast-qual -Wcast-align -Wformat=2 -Wundef -Wpointer-arith
  -Wwrite-strings -Wimplicit-fallthrough -Wno-unused-parameter
  -fno-strict-aliasing -fno-omit-frame-pointer)
if(FUTURED_WERROR)
  target_compile_options(futured-flags INTERFACE -Werror)
endif()

if(FUTURED_HARDEN AND NOT FUTURED_SANITIZE AND NOT FUTURED_COVERAGE)
  add_compile_options($<$<CONFIG:RelWithDebInfo>:-D_FORTIFY_SOURCE=3> -fstack-protector-strong)
  if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-fstack-clash-protection)
  endif()
  add_link_options(-Wl,-z,relro,-z,now -Wl,-z,noexecstack)
endif()
if(FUTURED_SANITIZE)
  add_compile_options(-fsanitize=${FUTURED_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${FUTURED_SANITIZE})
endif()
if(FUTURED_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()
if(FUTURED_COVERAGE)
  add_compile_options(--coverage)
  add_link_options(--coverage)
endif()
include(CheckPIESupported)
check_pie_supported(LANGUAGES C)
add_link_options(-Wl,--as-needed)
