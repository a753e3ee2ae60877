# SPDX-License-Identifier: Apache-2.0

# futured_room(NAME SOURCES file... [LINK target...])
# One room = one folder = one static library futured-NAME.
function(futured_room name)
  cmake_parse_arguments(A "" "" "SOURCES;LINK" ${ARGN})
  add_library(futured-${name} STATIC ${A_SOURCES})
  target_link_libraries(futured-${name} PUBLIC futured-flags ${A_LINK})
endfunction()

# futured_unit(ROOM FILE [LINK target...])
# tests/unit/ROOM/test_FILE.c, the unit test of one source file, run by ctest as unit/ROOM/FILE.
function(futured_unit room file)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  set(target test_${room}_${file})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/unit/${room}/test_${file}.c)
  target_link_libraries(${target} PRIVATE futured-${room} ${A_LINK} PkgConfig::CMOCKA)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  add_test(NAME unit/${room}/${file} COMMAND ${target})
  set_tests_properties(unit/${room}/${file} PROPERTIES TIMEOUT 600)
endfunction()

# futured_fuzz(NAME LINK target...)
# tests/fuzz/fuzz_NAME.c. Every build replays tests/fuzz/corpus/NAME through it (ctest fuzz/NAME);
# the fuzz preset links libFuzzer instead of the replaying main. Target fuzz-targets builds them all.
add_custom_target(fuzz-targets)
function(futured_fuzz name)
  cmake_parse_arguments(A "" "" "LINK" ${ARGN})
  set(target fuzz_${name})
  set(corpus ${PROJECT_SOURCE_DIR}/tests/fuzz/corpus/${name})
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/fuzz/fuzz_${name}.c)
  add_dependencies(fuzz-targets ${target})
  target_link_libraries(${target} PRIVATE futured-flags ${A_LINK})
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/tests)
  if(FUTURED_FUZZ)
    target_link_options(${target} PRIVATE -fsanitize=fuzzer)
    add_test(NAME fuzz/${name} COMMAND ${target} -runs=0 ${corpus})
  else()
    target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/tests/fuzz/replay.c)
    add_test(NAME fuzz/${name} COMMAND ${target} ${corpus})
  endif()
endfunction()
