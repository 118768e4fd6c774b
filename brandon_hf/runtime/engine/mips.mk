# The engine for MIPS, with Debian's gcc-mipsel-linux-gnu:
#   make -f mips.mk ps2 BLOB=model.gguf OUT=build       build/BRANDON.ELF and build/brandon.iso (needs xorriso)
#   make -f mips.mk elf BLOB=model.gguf OUT=build       build/BRANDON.ELF alone
#   make -f mips.mk linux OUT=build                     build/brandon-mipsel, for qemu-mipsel
# PROMPTS='"One","Two"' are what the program on the console answers; MAIN=file.c replaces that program (with MAIN_FLAGS
# for the compiler). Objects of the engine are kept in OBJECTS_IN.
ENGINE := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
CROSS ?= mipsel-linux-gnu-
OUT ?= build
OBJECTS_IN ?= $(OUT)/objects-r5900
MAIN ?= $(ENGINE)/platform_ps2.c
# caches, activations and tokenizer; the linker checks that it fits beside the blob
ARENA_BYTES ?= 0xa00000
STACK_BYTES ?= 0x10000

NOT_PARTS := $(wildcard $(ENGINE)/platform_*.c $(ENGINE)/kernels_avx*.c) $(ENGINE)/main.c
PARTS := $(filter-out $(NOT_PARTS),$(wildcard $(ENGINE)/*.c))
HEADERS := $(wildcard $(ENGINE)/*.h $(ENGINE)/*.inc)

WARNINGS := -std=c99 -Wall -Wextra -Werror -ffp-contract=off -fno-math-errno
# -mfix-r5900: loops of six instructions or less can end too early on this processor
R5900 := -march=r5900 -msingle-float -mabi=32 -mfix-r5900 -O3 -ffreestanding -fno-pic -mno-abicalls -G0 \
	-include $(ENGINE)/ps2_sqrt.h -I$(ENGINE) $(WARNINGS)
MAIN_FLAGS ?= $(if $(PROMPTS),-DPROMPTS='$(PROMPTS)')
OBJECTS := $(patsubst $(ENGINE)/%.c,$(OBJECTS_IN)/%.o,$(PARTS) $(ENGINE)/platform_freestanding.c) \
	$(OBJECTS_IN)/ps2_start.o

.PHONY: ps2 elf linux
ps2: $(OUT)/brandon.iso
elf: $(OUT)/BRANDON.ELF
linux: $(OUT)/brandon-mipsel

$(OBJECTS_IN)/%.o: $(ENGINE)/%.c $(HEADERS)
	@mkdir -p $(@D)
	$(CROSS)gcc $(R5900) -c -o $@ $<

$(OBJECTS_IN)/ps2_start.o: $(ENGINE)/ps2_start.S $(ENGINE)/ps2_calls.h
	@mkdir -p $(@D)
	$(CROSS)gcc $(R5900) -c -o $@ $<

$(OUT)/blob.o: $(ENGINE)/ps2_blob.S $(BLOB)
	@mkdir -p $(@D)
	$(CROSS)gcc $(R5900) -DBLOB='"$(abspath $(BLOB))"' -c -o $@ $<

$(OUT)/BRANDON.ELF: $(OBJECTS) $(MAIN) $(ENGINE)/ps2.ld $(if $(BLOB),$(OUT)/blob.o)
	@mkdir -p $(@D)
	$(CROSS)gcc $(R5900) $(MAIN_FLAGS) -c -o $(OUT)/main.o $(MAIN)
	$(CROSS)ld -EL -static -G0 -T $(ENGINE)/ps2.ld --defsym=ARENA_BYTES=$(ARENA_BYTES) \
		--defsym=STACK_BYTES=$(STACK_BYTES) -o $@ $(OBJECTS) $(OUT)/main.o \
		$(if $(BLOB),$(OUT)/blob.o)

# What the console reads from a disc: SYSTEM.CNF names the program.
$(OUT)/brandon.iso: $(OUT)/BRANDON.ELF
	@mkdir -p $(OUT)/disc
	cp $< $(OUT)/disc/BRANDON.ELF
	printf 'BOOT2 = cdrom0:\\BRANDON.ELF;1\r\nVER = 1.00\r\nVMODE = NTSC\r\n' > $(OUT)/disc/SYSTEM.CNF
	xorriso -as mkisofs -quiet -iso-level 1 -V BRANDON -o $@ $(OUT)/disc

# The same C under Linux, with the portable kernels.
LINUX_MAIN ?= $(ENGINE)/main.c $(ENGINE)/platform_posix.c
$(OUT)/brandon-mipsel: $(PARTS) $(LINUX_MAIN) $(HEADERS) $(BLOB)
	@mkdir -p $(@D)
	$(CROSS)gcc -march=mips32r2 -O3 -static -G0 $(WARNINGS) -I$(ENGINE) $(MAIN_FLAGS) -o $@ $(PARTS) $(LINUX_MAIN) \
		$(if $(BLOB),-DBLOB='"$(abspath $(BLOB))"' $(ENGINE)/ps2_blob.S)
