/* What a program of Reeve asks of the kernel for itself when it starts. */
#ifndef BASE_PROCESS_H
#define BASE_PROCESS_H

/* Raises the soft limit of descriptors to the hard limit, and returns the limit that holds now. Children that are
 * forked later get the former soft limit back, since old programs close, or select on, every descriptor up to it. */
unsigned process_raise_descriptors(void);

/* Keys must not get into a core file: no core dumps of this process, and no other process of the same user may read its
 * memory. Programs it starts have what they would have had.
 * Environment REEVE_DEBUG=1 (for gdb, and programs that dump core on purpose) leaves all as it is, and so do
 * sanitizers, which need it. */
void process_hide_memory(void);

#endif
