/* Reading a backup from a file descriptor, for rctl and reeve-master: decryption, chunks, records and hashes in one
 * go. */
#ifndef PROTO_BACKUP_IO_H
#define PROTO_BACKUP_IO_H

#include "proto/backup/backup.h"
#include "proto/backup/file.h"

/* To the end. Blocks; holds one chunk and one record. name: for error texts. info, bytes: may be NULL; filled in as far
 * as it came. Errors of the events end it and are passed on. What the events were told before an error has been
 * authenticated, but may not be all. */
int backup_read_fd(int fd, const char *name, struct str passphrase, const struct backup_events *events,
                   struct backup_file_info *info, uint64_t *bytes, struct error *err);

#endif
