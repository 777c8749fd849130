/*
 * switch_aarch64 - void switch_stack(void **ret_sp, void *sp), and where new stacks begin
 * (AAPCS64).
 *
 * Kept: x19-x30, d8-d15, the floating point modes (fpcr). The frame, lowest first: x19, x20, ...
 * x28, x29, x30, d8 ... d15, fpcr, padding (176 octets); switch_own.c builds the first one.
 */
#if defined(TASKS_switch) && defined(__aarch64__)
	.text
	.globl	switch_stack
	.type	switch_stack, %function
	.p2align 4
switch_stack:
	.cfi_startproc
	sub	sp, sp, #176
	.cfi_adjust_cfa_offset 176
	stp	x19, x20, [sp]
	stp	x21, x22, [sp, #16]
	stp	x23, x24, [sp, #32]
	stp	x25, x26, [sp, #48]
	stp	x27, x28, [sp, #64]
	stp	x29, x30, [sp, #80]
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	mrs	x9, fpcr
	str	x9, [sp, #160]
	mov	x10, sp
	str	x10, [x0]
	mov	sp, x1
	ldr	x10, [sp, #160]
	cmp	x9, x10
	b.eq	1f		/* a write to fpcr is slow, and it hardly ever differs */
	msr	fpcr, x10
1:
	ldp	x19, x20, [sp]
	ldp	x21, x22, [sp, #16]
	ldp	x23, x24, [sp, #32]
	ldp	x25, x26, [sp, #48]
	ldp	x27, x28, [sp, #64]
	ldp	x29, x30, [sp, #80]
	.cfi_restore x29
	.cfi_restore x30
	ldp	d8, d9, [sp, #96]
	ldp	d10, d11, [sp, #112]
	ldp	d12, d13, [sp, #128]
	ldp	d14, d15, [sp, #144]
	add	sp, sp, #176
	.cfi_adjust_cfa_offset -176
	br	x30
	.cfi_endproc
	.size	switch_stack, .-switch_stack

/* The first frame of every task: no caller (x30 is undefined), so unwinders end here. */
	.globl	switch_entry
	.type	switch_entry, %function
	.p2align 4
	.cfi_startproc
	.cfi_undefined x30
	nop			/* unwinders look before a return address */
switch_entry:
	mov	x0, x20
	mov	x29, xzr
	blr	x19
	brk	#1
	.cfi_endproc
	.size	switch_entry, .-switch_entry
#endif
	.section .note.GNU-stack, "", %progbits
