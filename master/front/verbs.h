/* The verbs of the API in the masters' language, msgpack-RPC: typed requests are read from parameters and written as
 * them, typed answers as maps (answers.c). So a front that speaks another language forwards what it was asked, and
 * reads what the leader answered. No other file knows both; the shapes are those of proto/rpc/api.h. */
#ifndef MASTER_FRONT_VERBS_H
#define MASTER_FRONT_VERBS_H

#include "master/front/call.h"

/* How verbs answer a struct call (answers.c). */
extern const struct api_front rpc_front;

const struct method *verbs_row(enum api_verb verb);
/* The request of this verb that the parameters are. It borrows from them and from the arena. What a kind's name means
 * is asked of m's store. ERR_USAGE, ERR_NOT_FOUND (the kind). */
int verbs_read(const struct master *m, struct arena *a, enum api_verb verb, struct params *p, struct api_request *out,
               struct error *err);
/* The other half: the map that is read as this request. */
void verbs_write(const struct master *m, struct buf *b, const struct api_request *q);
/* For an errand's `typed`: the request that a struct call of a verb is. */
bool verbs_typed(struct errand *e, struct api_request *q);

int verbs_peek(struct errand *e, struct api_request *q); /* for its `peek` */

/* The answer as a map, and the other half; of verbs that are answered so (struct api_answer). What is read refers to
 * the arena and to objects that verbs_answer_close lets go. An object of a kind that this program does not know is
 * NULL. ERR_PROTOCOL: no such answer. */
void verbs_write_answer(struct buf *b, const struct api_answer *a);
int verbs_read_answer(struct arena *arena, enum api_verb verb, struct mp m, struct api_answer *out, struct error *err);
void verbs_answer_close(struct api_answer *a);

#endif
