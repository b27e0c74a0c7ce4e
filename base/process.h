/* What a program of Reeve asks of the kernel for itself when it starts. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* Raises the number of descriptors that this process may have to what its hard limit allows; the number it may have
 * now. Whoever it forks later has the soft limit again that it was started with: old programs close, or select on,
 * all descriptors that they may have. */
unsigned process_raise_descriptors(void);

/* Keys must not get into a core file: no core dumps of this process, and no other process of the same user may read its
 * memory. Programs it starts have what they would have had.
 * Environment REEVE_DEBUG=1 (for gdb, and programs that dump core on purpose) leaves all as it is, and so do
 * sanitizers, which need it. */
void process_hide_memory(void);

#endif
