/* ConfigMaps and Secrets of this node's pods on its disk: what an agent that is started anew without masters, also
 * after the machine was, goes on with. A file for each object in DIR, and the file `whole` once a whole list has come.
 *
 * Every file is sealed (pki_seal) under a key of its own directory, made with it: a Secret lies on no disk in clear,
 * and a copy of single files tells nothing. Whoever reads the whole directory as root has them, as whoever has the
 * node's key would have them from the masters. Which object a file holds is bound to its name. Files are not synced: a
 * power cut may take the newest, which then count as unknown. A file that is damaged or of another key is passed over
 * and removed. What cannot be written is told to the log; the pods do not notice. Blocking, short. Loop thread only. */
#ifndef AGENT_POD_REFS_KEPT_H
#define AGENT_POD_REFS_KEPT_H

#include "agent/pod/refs.h"
#include "base/log.h"

struct refs_kept;
/* Never NULL; without its key (a full disk) nothing is kept, which is logged. */
struct refs_kept *refs_kept_open(const char *dir, const struct log *log);
void refs_kept_close(struct refs_kept *k); /* NULL is fine */
/* What is there goes into r. True: together it was all that the pods named, when it was written. */
bool refs_kept_load(struct refs_kept *k, struct refs *r);
void refs_kept_put(struct refs_kept *k, const struct object *o); /* only kinds that are content */
void refs_kept_delete(struct refs_kept *k, enum kind_id kind, struct str ns, struct str name);
void refs_kept_whole(struct refs_kept *k); /* a whole list has come */

#endif
