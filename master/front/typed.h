/* For fronts whose requests are all typed: what an errand asks of its front, beside who asks and how failure is told.
 *
 * Such a front makes its typed request whenever it is asked for (errand_front.typed), since a verb may change the
 * documents in it, and writes answers (api_front). It is forwarded, parked and confirmed as msgpack-RPC is. */
#ifndef MASTER_FRONT_TYPED_H
#define MASTER_FRONT_TYPED_H

#include "master/front/errand.h"

/* What its verb tells an errand, before errand_may. repeatable: if it is a write, it has an id, or changes nothing. */
void typed_set(struct errand *e, enum api_verb verb, bool repeatable);
/* For errand_front; its `handle` is errand_do. */
bool typed_write(struct errand *e, struct buf *b);
void typed_answered(struct errand *e, struct mp result);

#endif
