// SPDX-License-Identifier: Apache-2.0
// Puts the file ECHO_DESCRIPTOR_SET (a path, from CMakeLists.txt) into the read-only data; read by echo.c.
        .section .rodata, "a", %progbits
        .balign 16
        .hidden echo_descriptors
        .globl  echo_descriptors
        .type   echo_descriptors, %object
echo_descriptors:
        .incbin ECHO_DESCRIPTOR_SET
        .hidden echo_descriptors_end
        .globl  echo_descriptors_end
echo_descriptors_end:
        .size   echo_descriptors, echo_descriptors_end - echo_descriptors

        .section .note.GNU-stack, "", %progbits
