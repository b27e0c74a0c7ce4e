/* Closed loops: N requests are in flight over the sessions of the kit, each answer makes room for the next. What they
 * write are ConfigMaps with one random value. */
#ifndef TESTS_BENCH_LOAD_H
#define TESTS_BENCH_LOAD_H

#include "tests/bench/bench_kit.h"

#define LOAD_KEYS  2000u /* what writes and gets go round */
#define LOAD_VALUE 256u

enum load_type { LOAD_CREATE, LOAD_UPDATE, LOAD_PATCH, LOAD_GET };
struct load_kind {
    const char *what, *line;
    enum load_type type;
    bool follower; /* asked of a master that does not lead */
    bool stale;    /* gets: without asking the leader */
};
const struct load_kind *load_find(const char *what); /* NULL: no load of that name */

struct load {
    struct kit *kit;
    const struct load_kind *kind;
    const char *ns;             /* NULL = "bench" */
    unsigned keys, value_bytes; /* 0 = LOAD_KEYS, LOAD_VALUE */
    /* From here on the load's own. */
    unsigned inflight, next_key;
    uint64_t salt, end_us, errors;
    struct samples samples;
    bool done;
};
/* Creates all keys (those that are there already stay), or goes on for `seconds`. Exits if calls fail. */
void load_run(struct load *l, unsigned inflight, double seconds);
void load_print(const struct load *l, const char *suffix, unsigned inflight, double seconds);

/* Connects to the leader and makes the namespace. */
void load_namespace(struct kit *k, const char *ns);
/* The same, and then the keys 0 .. keys-1 with values of value_bytes. */
void load_prepare(struct kit *k, const char *ns, unsigned keys, unsigned value_bytes);
/* The CPU for each request is told of masters[0], which leads, and of all; 0 ends them, and none is told if there are
 * none. */
void load_bench(struct kit *k, const struct load_kind *kind, unsigned inflight, unsigned value_bytes, double seconds,
                const pid_t *masters);

void load_key_name(char out[32], unsigned i);
/* {object: ConfigMap} */
void load_object_params(struct buf *b, const char *ns, const char *name, unsigned value_bytes, uint64_t salt);

#endif
