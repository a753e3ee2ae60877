# SPDX-License-Identifier: Apache-2.0
# find_package(futured 0.1 REQUIRED) and target_link_libraries(program futured::futured)
include("${CMAKE_CURRENT_LIST_DIR}/futured-targets.cmake")
