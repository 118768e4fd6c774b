/* Included before every file that is compiled for the R5900 (mips.mk): its SQRT.S reads the register in the field ft,
 * while gas 2.40 and older write the source into fs, as other MIPS processors want it. */
#ifndef __ASSEMBLER__
static inline float bt_r5900_sqrt(float x) {
    float root;
    __asm__("mov.s $f1, %1\n\t"
            ".word 0x46010004\n\t" /* sqrt.s $f0, $f1 */
            "mov.s %0, $f0"
            : "=f"(root)
            : "f"(x)
            : "$f0", "$f1");
    return root;
}
#define __builtin_sqrtf(x) bt_r5900_sqrt(x)
#endif
