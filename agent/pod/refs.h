/* Objects whose content pods of this node name (ConfigMaps, Secrets): a cache fed by the leader's stream, and before
 * that by what was kept (refs_kept.h).
 *
 * Until the first whole list has come, absence means nothing (refs_synced). A new list replaces the old one: begin,
 * put..., end. */
#ifndef AGENT_POD_REFS_H
#define AGENT_POD_REFS_H

#include "proto/schema/object.h"

struct refs;
struct refs *refs_new(void);
void refs_free(struct refs *r);

/* True if that changed anything. Takes a reference of its own. Kinds that are no content are ignored. */
bool refs_put(struct refs *r, const struct object *o);
bool refs_delete(struct refs *r, enum kind_id kind, struct str ns, struct str name);
const struct object *refs_get(const struct refs *r, enum kind_id kind, struct str ns,
                              struct str name);                                            /* NULL if none */
const struct object *refs_next(const struct refs *r, enum kind_id kind, unsigned *cursor); /* from 0; NULL: no more */

void refs_list_begin(struct refs *r);
/* What was not put since begin is dropped, each one told to cb (may be NULL) while it is still readable. From now on
 * synced. */
typedef void refs_dropped_cb(const struct object *o, void *data);
void refs_list_end(struct refs *r, refs_dropped_cb *cb, void *data);
/* What is there counts as all there is until a list comes. */
void refs_assume_whole(struct refs *r);
bool refs_synced(const struct refs *r);
unsigned refs_count(const struct refs *r);

#endif
