// SPDX-License-Identifier: Apache-2.0
// Puts the file DESCRIPTOR_SET (a path, from CMakeLists.txt) into the read-only data; see descriptor_set.h.
        .section .rodata, "a", %progbits
        .hidden futured_descriptor_set
        .globl  futured_descriptor_set
        .type   futured_descriptor_set, %object
        .balign 16
futured_descriptor_set:
        .incbin DESCRIPTOR_SET
.Lend:
        .size   futured_descriptor_set, .Lend - futured_descriptor_set

        .hidden futured_descriptor_set_bytes
        .globl  futured_descriptor_set_bytes
        .type   futured_descriptor_set_bytes, %object
        .size   futured_descriptor_set_bytes, __SIZEOF_SIZE_T__
        .balign __SIZEOF_SIZE_T__
futured_descriptor_set_bytes:
#if __SIZEOF_SIZE_T__ == 8
        .quad   .Lend - futured_descriptor_set
#else
        .long   .Lend - futured_descriptor_set
#endif

        .section .note.GNU-stack, "", %progbits
