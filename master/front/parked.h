/* Requests that wait for a leader. */
#ifndef MASTER_FRONT_PARKED_H
#define MASTER_FRONT_PARKED_H

#include "master/front/errand.h"

/* It failed with `why`. True: it waits, or has been answered because too many do; the errand is taken over. */
bool errand_park(struct errand *e, const struct error *why);
void parked_on_leader(struct master *m); /* one may be known now */
void parked_on_session_closed(struct session *s);
/* What is due is handled anew, or given up: for the timer, and for whoever has other clocks. */
void parked_look(struct master *m);
void parked_close(struct master *m);

#endif
