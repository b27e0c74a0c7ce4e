/* The cluster's feature level (proto/schema/release.h): the lowest of all voters', in the cluster's record (record.h:
 * featureLevel), and never lowered.
 *
 * Masters ask each other what they can. A leader that has heard of all voters within the last seconds that they can
 * more raises the level; what is evaluated from the next commit on may use it. A master whose program is older than the
 * level ends, at the start or when it sees the level rise, and says which program it wants: the others go on without
 * it, and its data stays as it is. */
#ifndef MASTER_MEMBERS_LEVEL_H
#define MASTER_MEMBERS_LEVEL_H

#include "master/master.h"

struct levels;
struct levels *levels_new(void);
void levels_free(struct levels *l);
void level_tick(struct master *m);         /* from the timer of chores */
void level_on_committed(struct master *m); /* the record may say another level */
/* The loaded state against this program: ERR_UNSUPPORTED if the cluster is beyond it. */
int level_check_start(struct master *m, struct error *err);
/* The same for a level from elsewhere: `what` is "the data directory DIR", "the backup FILE". */
int level_check(unsigned level, const char *what, struct error *err);
/* What another master asks ("about"): {version, featureLevel}. */
void level_tell(struct rpc_request *req);
unsigned level_program(void); /* this program's: release.level, but that a failpoint may make it an old one */
unsigned level_cluster(const struct master *m);
/* What a member's program is, as last heard: false if that is not known. version: borrowed. */
bool level_of(const struct master *m, uint64_t id, unsigned *level, const char **version);

#endif
