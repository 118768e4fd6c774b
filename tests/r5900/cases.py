"""Instructions of the R5900 with results known from its manuals: (name, lines, the 128 bits of $8 afterwards).

Before each case $9 and $10 hold NINE and TEN, all else is zero or left from before. Words are written from the highest.
"""

NINE = 0x80_7F_FF_01_12_34_56_78_9A_BC_DE_F0_0F_1E_2D_3C
TEN = 0x00_01_00_02_00_03_00_04_FF_FF_80_00_7F_FF_00_05


def floats(operation: str, a: int, b: int, expected: int) -> tuple[str, list[str], int]:
    """`operation` of the floats with bits a and b, in $f2 and $f3, gives one with bits `expected` in $f1."""
    lines = [f"li $8, {a:#x}", "mtc1 $8, $f2", f"li $8, {b:#x}", "mtc1 $8, $f3", "nop", *operation.split(";")]
    lines += ["mfc1 $8, $f1", "dsll32 $8, $8, 0", "dsrl32 $8, $8, 0", "pcpyld $8, $0, $8"]
    return (f"{operation} {a:#x} {b:#x}", lines, expected)


SQRT = ".word 0x46030044"  # sqrt.s $f1, $f3 as the R5900 has it, the source in ft
ONE, MOST, LEAST = 0x3F800000, 0x7FFFFFFF, 0x00800000

CASES: list[tuple[str, list[str], int]] = [
    # bytes and halves of $9 = ...0F1E2D3C against zero or $10
    ("pextlb", ["pextlb $8, $9, $0"], 0x9A00BC00DE00F0000F001E002D003C00),
    ("pextub", ["pextub $8, $9, $0"], 0x80007F00FF0001001200340056007800),
    ("pextlh", ["pextlh $8, $9, $10"], 0x9ABCFFFFDEF080000F1E7FFF2D3C0005),
    ("pextuh", ["pextuh $8, $9, $10"], 0x807F0001FF0100021234000356780004),
    ("pextlw", ["pextlw $8, $9, $10"], 0x9ABCDEF0FFFF80000F1E2D3C7FFF0005),
    ("pextuw", ["pextuw $8, $9, $10"], 0x807FFF01000100021234567800030004),
    ("ppacb", ["ppacb $8, $9, $10"], 0x7F013478BCF01E3C01020304FF00FF05),
    ("ppach", ["ppach $8, $9, $10"], 0xFF015678DEF02D3C0002000480000005),
    ("ppacw", ["ppacw $8, $9, $10"], 0x123456780F1E2D3C000300047FFF0005),
    ("pcpyld", ["pcpyld $8, $9, $10"], 0x9ABCDEF00F1E2D3CFFFF80007FFF0005),
    ("pcpyud", ["pcpyud $8, $9, $10"], 0x0001000200030004807FFF0112345678),
    ("psrah", ["psrah $8, $9, 8"], 0xFF80FFFF00120056FF9AFFDE000F002D),
    ("psraw", ["psraw $8, $9, 8"], 0xFF807FFF00123456FF9ABCDE000F1E2D),
    ("psllh", ["psllh $8, $10, 4"], 0x0010002000300040FFF00000FFF00050),
    ("psrlw", ["psrlw $8, $9, 28"], 0x00000008000000010000000900000000),
    ("paddw", ["paddw $8, $9, $10"], 0x8080FF031237567C9ABC5EF08F1D2D41),
    ("psubw", ["psubw $8, $9, $10"], 0x807EFEFF123156749ABD5EF08F1F2D37),
    ("pand", ["pand $8, $9, $10"], NINE & TEN),
    ("pmaxw", ["pmaxw $8, $9, $10"], 0x0001000212345678FFFF80007FFF0005),
    ("prot3w", ["prot3w $8, $10"], 0x000100027FFF000500030004FFFF8000),
    # 2 * 3 + 4 * 5 ... in the words of hi and lo
    ("pmulth", ["pmulth $8, $10, $10"], 0x00000004_00000010_40000000_00000019),
    ("pmaddh", ["pmtlo $0", "pmthi $0", "pmaddh $0, $10, $10", "pmaddh $8, $10, $10"], 0x8_00000020_80000000_00000032),
    ("pmfhl.lw", ["pmulth $0, $10, $10", "pmfhl.lw $8"], 0x00000004_00000010_40000000_00000019),
    ("pmfhl.uw", ["pmulth $0, $10, $10", "pmfhl.uw $8"], 0x00000001_00000009_00000001_3FFF0001),
    ("pmfhl.lh", ["pmulth $0, $10, $10", "pmfhl.lh $8"], 0x0001000400090010_00010000_00010019),
    ("phmadh", ["phmadh $8, $10, $10"], 0x00000005_00000019_40000001_3FFF001A),
    ("pmthi", ["pmthi $9", "pmfhi $8"], NINE),
    # integers
    ("addu", ["pcpyld $8, $0, $0", "li $11, 0x7fffffff", "addiu $8, $11, 1"], 0xFFFFFFFF80000000),
    ("lui", ["pcpyld $8, $0, $0", "lui $8, 0x8000"], 0xFFFFFFFF80000000),
    ("dsll32", ["pcpyld $8, $0, $0", "li $8, 3", "dsll32 $8, $8, 4"], 3 << 36),
    ("movz", ["pcpyld $8, $0, $0", "li $8, 1", "li $11, 2", "movz $8, $11, $0", "movn $8, $9, $0"], 2),
    ("mult", ["pcpyld $8, $0, $0", "li $11, -3", "li $12, 5", "mult $8, $11, $12"], 0xFFFFFFFFFFFFFFF1),
    ("mfhi", ["pcpyld $8, $0, $0", "li $11, -3", "multu $11, $11", "mfhi $8"], 0xFFFFFFFFFFFFFFFA),
    ("mult1", ["pcpyld $8, $0, $0", "li $11, 6", "mult $11, $11", "mult1 $12, $11, $12", "mflo $8"], 36),
    ("div", ["pcpyld $8, $0, $0", "li $11, -7", "li $12, 2", "div $0, $11, $12", "mflo $8"], 0xFFFFFFFFFFFFFFFD),
    ("remainder", ["pcpyld $8, $0, $0", "li $11, -7", "li $12, 2", "div $0, $11, $12", "mfhi $8"], 0xFFFFFFFFFFFFFFFF),
    ("div1", ["pcpyld $8, $0, $0", "li $11, 7", "li $12, 2", "div1 $0, $11, $12", "mflo1 $8"], 3),
    ("madd", ["pcpyld $8, $0, $0", "li $11, 7", "mult $11, $11", "madd $8, $11, $11"], 98),
    ("sltu", ["pcpyld $8, $0, $0", "li $11, -1", "sltu $8, $0, $11", "slt $11, $0, $11", "addu $8, $8, $11"], 1),
    # a slot that runs, one that does not, and one that does
    ("beq", ["pcpyld $8, $0, $0", "beq $0, $0, 1f", "addiu $8, $8, 1", "addiu $8, $8, 2", "1: nop"], 1),
    ("beql", ["pcpyld $8, $0, $0", "beql $0, $9, 1f", "addiu $8, $8, 1", "addiu $8, $8, 2", "1: nop"], 2),
    ("bnel", ["pcpyld $8, $0, $0", "bnel $0, $9, 1f", "addiu $8, $8, 1", "addiu $8, $8, 2", "1: nop"], 1),
    # memory: scratch holds the bytes 00 01 02 ... 0F
    ("lq", ["la $11, bytes", "lq $8, 0($11)"], 0x0F0E0D0C0B0A09080706050403020100),
    ("lwl", ["pcpyld $8, $0, $0", "la $11, bytes", "lwl $8, 5($11)", "lwr $8, 2($11)"], 0x05040302),
    ("ldl", ["pcpyld $8, $0, $0", "la $11, bytes", "ldl $8, 10($11)", "ldr $8, 3($11)"], 0x0A09080706050403),
    (
        "swl",
        ["la $11, spare", "sq $0, 0($11)", "li $12, 0x01020304", "swl $12, 6($11)", "swr $12, 3($11)", "lq $8, 0($11)"],
        0x01020304 << 24,
    ),
    (
        "sdl",
        ["la $11, spare", "sq $0, 0($11)", "sdl $9, 11($11)", "sdr $9, 4($11)", "lq $8, 0($11)"],
        0x9ABCDEF00F1E2D3C << 32,
    ),
    ("lb", ["pcpyld $8, $0, $0", "la $11, spare", "li $12, 0x80", "sb $12, 1($11)", "lb $8, 1($11)"], 2**64 - 128),
    ("scratchpad", ["lui $11, 0x7000", "sq $9, 0x3ff0($11)", "lq $8, 0x3ff0($11)"], NINE),
    # floats: cut off, no denormals, no infinity
    floats("add.s $f1,$f2,$f3", ONE, 0x33FFFFFF, ONE),
    floats("sub.s $f1,$f2,$f3", ONE, 0x33800000, 0x3F7FFFFF),  # 2^-24: the guard bit
    floats("sub.s $f1,$f2,$f3", ONE, 0x33000000, ONE),  # 2^-25 is below it
    floats("add.s $f1,$f2,$f3", ONE, 0xBF800000, 0),
    floats("mul.s $f1,$f2,$f3", 0x3F800001, 0x3FFFFFFF, 0x40000000),
    floats("mul.s $f1,$f2,$f3", 0x3FFFFFFF, 0x3FFFFFFF, 0x407FFFFE),
    floats("mul.s $f1,$f2,$f3", 0x7F000000, 0x40800000, MOST),  # too large
    floats("mul.s $f1,$f2,$f3", 0x7F000000, 0x40000000, 0x7F800000),  # what IEEE calls infinity is a number
    floats("mul.s $f1,$f2,$f3", LEAST, 0x3F000000, 0),
    floats("add.s $f1,$f2,$f3", 0x00000001, 0x00000001, 0),  # denormals are zeros
    floats("div.s $f1,$f2,$f3", ONE, 0x40400000, 0x3EAAAAAA),
    floats("div.s $f1,$f2,$f3", ONE, 0x80000000, 0xFFFFFFFF),
    floats("div.s $f1,$f2,$f3", 0, 0, MOST),
    floats(SQRT, 0, 0x40800000, 0x40000000),
    floats(SQRT, 0, 0xC0000000, 0x3FB504F3),  # of the size
    floats("rsqrt.s $f1,$f2,$f3", ONE, 0x40800000, 0x3F000000),
    floats("trunc.w.s $f1,$f2", 0xC02CCCCD, 0, 0xFFFFFFFE),  # -2.7
    floats("trunc.w.s $f1,$f2", 0x4F800000, 0, 0x7FFFFFFF),
    floats("cvt.s.w $f1,$f2", 0x01FFFFFF, 0, 0x4BFFFFFF),
    floats("max.s $f1,$f2,$f3", 0xBF800000, 0xC0000000, 0xBF800000),
    floats("mula.s $f2,$f3;madda.s $f2,$f2;madd.s $f1,$f3,$f3", 0x40000000, 0x40400000, 0x41980000),  # 6 + 4 + 9
    floats("mula.s $f2,$f3;msub.s $f1,$f2,$f2", 0x40000000, 0x40400000, 0x40000000),
    floats("c.lt.s $f2,$f3;nop;bc1t 1f;mov.s $f1,$f2;mov.s $f1,$f3;1: nop", ONE, 0x40000000, ONE),
    floats("c.le.s $f3,$f2;nop;bc1t 1f;mov.s $f1,$f2;mov.s $f1,$f3;1: nop", ONE, 0x40000000, 0x40000000),
]
