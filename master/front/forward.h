/* To the leader: what a follower cannot do itself. */
#ifndef MASTER_FRONT_FORWARD_H
#define MASTER_FRONT_FORWARD_H

#include "master/front/errand.h"

/* Sends it there as front->write writes it, or relays it if it is answered by a stream; or fails it, which may park
 * it. */
void errand_forward(struct errand *e);

#endif
