# Where the console's loader jumps to: a stack, zeros in .bss, main, and back to the browser.
#include "ps2_calls.h"

    .set noreorder
    .section .text.start, "ax"
    .globl _start
    .type _start, @function
_start:
    la      $a0, 0                  # no global pointer: everything is compiled with -G0
    la      $a1, _stack
    la      $a2, STACK_BYTES
    la      $a3, _bss               # arguments, which nobody reads
    la      $t0, _exit
    li      $v1, PS2_SETUP_THREAD   # tells the kernel where the stack of this thread is; returns its top
    syscall
    move    $sp, $v0

    la      $t0, _bss
    la      $t1, _bss_end
1:  sq      $zero, 0($t0)
    addiu   $t0, $t0, 16
    sltu    $t2, $t0, $t1
    bnez    $t2, 1b
    nop
    jal     main
    nop
    move    $a0, $v0
_exit:
    li      $v1, PS2_EXIT
    syscall
2:  b       2b
    nop
    .size _start, . - _start
