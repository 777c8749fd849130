/*
 * switch_x86_64 - void switch_stack(void **ret_sp, void *sp), and where new stacks begin (System V
 * ABI).
 *
 * Kept: rbx, rbp, r12-r15, the SSE modes (mxcsr) and the x87 control word. The frame, lowest first:
 * modes (mxcsr, then control word), r15, r14, r13, r12, rbx, rbp, return address; switch_own.c
 * builds the first one. Leaves by a jump, not a ret: a ret would be predicted to return to who
 * called us on the stack that we left, wrongly each time.
 */
#if defined(TASKS_switch) && defined(__x86_64__)
	.text
	.globl	switch_stack
	.type	switch_stack, @function
	.p2align 4
switch_stack:
	.cfi_startproc
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movq	%rsp, (%rdi)
	movq	%rsi, %rsp
	ldmxcsr	(%rsp)
	fldcw	4(%rsp)
	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	jmp	*%rcx
	.cfi_endproc
	.size	switch_stack, .-switch_stack

/* The first frame of every task: no caller (rip is undefined), so unwinders end here. */
	.globl	switch_entry
	.type	switch_entry, @function
	.p2align 4
	.cfi_startproc
	.cfi_undefined rip
	nop			/* unwinders look one octet before a return address */
switch_entry:
	movq	%r13, %rdi
	callq	*%r12
	ud2
	.cfi_endproc
	.size	switch_entry, .-switch_entry
#endif
	.section .note.GNU-stack, "", @progbits
