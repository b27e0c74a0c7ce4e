/* Backups, streamed to whoever asks. */
#ifndef MASTER_RESCUE_BACKUP_H
#define MASTER_RESCUE_BACKUP_H

#include "master/front/call.h"

void backups_expire(struct master *m, int64_t now_ms); /* those whose readers stand still */

#endif
