/* Masters that are members no more. */
#ifndef MASTER_MEMBERS_REMOVED_H
#define MASTER_MEMBERS_REMOVED_H

#include "master/master.h"

/* The record says that this id is no member's any more, and no configuration that we know has it. False while that
 * is not known. */
bool members_removed(struct master *m, uint64_t id);
/* A removed master has connected: tell it, and hang up. */
void removed_farewell(struct master *m, struct net_conn *c, uint64_t id);
void removed_tell(struct master *m,
                  uint64_t id); /* over its session, if there is one; later it hears it when it connects */
/* After each commit: whoever the record calls removed now is told by the leader, and all hang up. */
void removed_advance(struct master *m);
/* We have been told: note it in the data directory and stop. For transport_config. */
void removed_on_told(void *data, uint64_t peer_id);
void removed_check(struct master *m); /* does our own state say it? */

#endif
