/* Directories quarantine-TIME/ of a master: a former raft/, damaged or replaced by a recovery (rescue/repair.h), for
 * whoever wants to know why. */
#ifndef MASTER_QUARANTINE_H
#define MASTER_QUARANTINE_H

#include "base/log.h"
#include "master/config.h"

#define QUARANTINES_MAX 3

/* raft/ to quarantine-TIME/, durably; the oldest of more than QUARANTINES_MAX are removed. *to (may be NULL): its new
 * name, "" if there was none (or an empty one, which is removed). */
int quarantine_move(const struct master_config *c, const struct log *log, char *to, size_t size, struct error *err);
/* Wall clock of the newest one; 0: there is none. */
int64_t quarantine_newest_ms(const struct master_config *c);
/* All of them go: what they were sealed with is dropped. Each is named in the log. 0 also if there was none. */
int quarantine_remove_all(const struct master_config *c, const struct log *log, struct error *err);

#endif
