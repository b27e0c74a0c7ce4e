/* One process at a time: flock. */
#ifndef BASE_FILE_LOCK_H
#define BASE_FILE_LOCK_H

#include <stdbool.h>

/* What was killed may hold a lock for a moment still: the kernel takes gigabytes of memory apart first, and a child
 * that was just begun has the descriptor until its exec. */
#define FILE_LOCK_WAIT_MS 5000

/* Takes the lock of this open file, until the descriptor and its copies are closed. False: another process has had it
 * for FILE_LOCK_WAIT_MS. Some file systems have no locks: there it is true. Blocks meanwhile. */
bool file_lock(int fd);

#endif
