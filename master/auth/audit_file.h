/* The file of records: lines are gathered in memory and written by a worker thread, so no disk, full or slow, holds up
 * the loop. What finds no room, or cannot be written, is dropped and counted (counter auditDropped), and the log says so
 * once, and once more when it goes again. When the file has half of the bytes it becomes FILE.1, in the place of the
 * former one. Loop thread only. */
#ifndef MASTER_AUTH_AUDIT_FILE_H
#define MASTER_AUTH_AUDIT_FILE_H

#include "base/buf.h"

struct master;
struct audit_file;

#define AUDIT_FILE_BYTES_MAX  (128u << 20) /* FILE and FILE.1 together */
#define AUDIT_QUEUE_BYTES_MAX (8u << 20)   /* that wait to be written */

/* max_bytes: of both files. */
struct audit_file *audit_file_new(struct master *m, const char *path, uint64_t max_bytes);
/* line: with its end. */
void audit_file_add(struct audit_file *f, struct str line);
bool audit_file_is_idle(const struct audit_file *f); /* all that was taken is written, or dropped */
void audit_file_free(struct audit_file *f); /* when the loop is over; what waits is written first. NULL is fine */

#endif
