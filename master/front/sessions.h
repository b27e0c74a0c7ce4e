/* Connections that were let in, and those that were not. */
#ifndef MASTER_FRONT_SESSIONS_H
#define MASTER_FRONT_SESSIONS_H

#include "master/master.h"

/* For net_listener_config. */
void sessions_on_conn(struct net_conn *c, void *m);
void sessions_on_refused(struct net_conn *c, const struct error *why, void *m);
/* The session's connection is over (why: NULL if we closed it): its requests end, and it is freed. */
void session_over(struct session *s, const struct error *why);
/* A reference on what says the same as p of who asks. It takes more than a KiB, which the newest connections of a
 * subject with one certificate or token have together. */
struct principal *sessions_principal(struct subject *s, const struct principal *p);
void sessions_tick(struct master *m); /* strangers that are idle, or have been here for long, are closed */
void sessions_write_places(struct master *m,
                           struct buf *b); /* "connections": [{of, open, places, refused}], into a map */

#endif
