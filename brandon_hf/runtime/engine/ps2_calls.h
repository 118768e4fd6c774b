/* What the PlayStation 2's kernel and serial port are called, for C and assembly. */
#define PS2_EXIT 4
#define PS2_SETUP_THREAD 60
#define PS2_SERIAL_STATUS 0x1000f130
#define PS2_SERIAL_OUT 0x1000f180
