# The blob, where the engine can use its tensors in place (mips.mk defines BLOB).
    .section .blob, "a"
    .balign 2048
    .globl bt_ps2_blob, bt_ps2_blob_end
bt_ps2_blob:
    .incbin BLOB
bt_ps2_blob_end:
#if defined(__linux__)
    .section .note.GNU-stack, "", %progbits
#endif
