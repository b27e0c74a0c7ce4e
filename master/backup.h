/* Backups: making them (backup.c, API method `backup`), and making a master of one (restore.c, `reeve-master restore`). */
#ifndef MASTER_BACKUP_H
#define MASTER_BACKUP_H

#include "master/config.h"
#include "raft-store/view.h"

/* The next master id by a state's record (master/record.h): above all that were given away. */
uint64_t backup_next_master_id(const struct view *v);

#endif
