/* The files of records: lines are gathered in memory and written by a worker thread, so no disk, full or slow, holds up
 * the loop. What finds no room, or cannot be written, is dropped and counted (counter auditDropped), and the log says
 * so once, and once more when it goes again. Loop thread only.
 *
 * Nobody pushes out what others did. There are two files, FILE.log and FILE-busy.log, each with a former one, *.log.1,
 * whose place it takes when it has a quarter of the bytes. A subject's lines go into FILE.log until they are
 * AUDIT_SHARE_PARTth of it, and then into FILE-busy.log until FILE.log is begun anew: so whoever asks very much pushes
 * out but his own records, and those of others who do. It takes AUDIT_SHARE_PART subjects who are busy at the same time
 * to have FILE.log begun anew, and as many again until what stood in it is gone. Of what waits to be written a subject
 * has a quarter at most, too. */
#ifndef MASTER_AUTH_AUDIT_FILE_H
#define MASTER_AUTH_AUDIT_FILE_H

#include "base/buf.h"

struct master;
struct audit_file;

#define AUDIT_FILE_BYTES_MAX  (128u << 20) /* all four together */
#define AUDIT_SHARE_PART      8u           /* a subject has an eighth of FILE.log: 4 MiB */
#define AUDIT_QUEUE_BYTES_MAX (32u << 20)  /* that wait to be written; a quarter of it of one subject */
#define AUDIT_SUBJECTS_MAX    4096u        /* that are counted; those above count as one */

/* path: of FILE.log. max_bytes: of all four. */
struct audit_file *audit_file_new(struct master *m, const char *path, uint64_t max_bytes);
/* line: with its end. subject: who is counted for it. */
void audit_file_add(struct audit_file *f, struct str subject, struct str line);
bool audit_file_is_idle(const struct audit_file *f); /* all that was taken is written, or dropped */
void audit_file_free(struct audit_file *f); /* when the loop is over; what waits is written first. NULL is fine */

#endif
