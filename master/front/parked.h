/* Requests that wait for a leader. */
#ifndef MASTER_FRONT_PARKED_H
#define MASTER_FRONT_PARKED_H

#include "master/front/call.h"

/* It failed with `why`. True: it waits, or has been answered because too many do; the call is taken over. */
bool call_park(struct call *c, const struct error *why);
void parked_on_leader(struct master *m); /* one may be known now */
void parked_on_session_closed(struct session *s);
void parked_close(struct master *m);

#endif
