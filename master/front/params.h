/* The parameters of a request over msgpack-RPC: one map. Each look into the map of a large request would walk over all
 * of it, so where each parameter lies is found once. Borrows the map's bytes. */
#ifndef MASTER_FRONT_PARAMS_H
#define MASTER_FRONT_PARAMS_H

#include "base/err.h"
#include "proto/model/msgpack.h"

#define PARAMS_MAX 20u /* no method has more */
struct params {
    struct mp all;
    bool found;
    unsigned count;
    struct param_at {
        uint32_t key, key_size, begin, end; /* from all.p; they stay when the bytes move */
    } at[PARAMS_MAX];
};
/* all: the map, or anything: then it has no parameters. */
void params_init(struct params *p, struct mp all);
/* The same bytes, elsewhere. */
void params_move(struct params *p, struct mp all);
/* A parameter, as mp_get has it, without a walk over the others. */
struct mp params_get(struct params *p, const char *key);
/* One that is a text; absent: empty. method: for errors. ERR_USAGE. */
int params_str(struct params *p, struct str method, const char *key, struct str *out, bool required, struct error *err);

#endif
