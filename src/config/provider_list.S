/*
 * provider_list - data/providers.conf, as it stands, inside the program: an assembler's .incbin
 * serves gcc and clang alike, and position-independent programs. The path is the build folder's,
 * which is the project's root.
 */
	.section .rodata
	.globl	provider_shipped_begin, provider_shipped_end
	.hidden	provider_shipped_begin, provider_shipped_end
provider_shipped_begin:
	.incbin	"data/providers.conf"
provider_shipped_end:
	.byte	0
	.section .note.GNU-stack, "", %progbits
