#include <assert.h>
#include <stdlib.h>

#include "proto/model/quantity.h"
#include "scheduler/cache.h"

#define SUM_MAX (1ll << 60) /* of one pod, before it is clamped */

void resources_close(struct resources *r)
{
    for (unsigned i = 0; i < r->ext_count; i++) {
        free(r->ext[i].name);
    }
    free(r->ext);
    memset(r, 0, sizeof *r);
}

int64_t resources_ext(const struct resources *r, const char *name)
{
    for (unsigned i = 0; i < r->ext_count; i++) {
        if (strcmp(r->ext[i].name, name) == 0) {
            return r->ext[i].amount;
        }
    }
    return 0;
}

/* The place of a name in the sorted list, made if absent. */
static int64_t *ext_at(struct resources *r, struct str name)
{
    unsigned at = 0;
    while (at < r->ext_count && str_cmp(str_of(r->ext[at].name), name) < 0) {
        at++;
    }
    if (at < r->ext_count && str_is(name, r->ext[at].name)) {
        return &r->ext[at].amount;
    }
    r->ext = xrealloc(r->ext, (r->ext_count + 1) * sizeof *r->ext);
    memmove(&r->ext[at + 1], &r->ext[at], (r->ext_count - at) * sizeof *r->ext);
    r->ext_count++;
    r->ext[at] = (struct extended){xstrndup(name.p, name.n), 0};
    return &r->ext[at].amount;
}

/* Neither is negative; the sum stops at SUM_MAX. */
static int64_t sum_of(int64_t a, int64_t b)
{
    return MIN(a, SUM_MAX) > SUM_MAX - MIN(b, SUM_MAX) ? SUM_MAX : a + b;
}

void resources_add(struct resources *to, const struct resources *r)
{
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        to->fixed[i] = sum_of(to->fixed[i], r->fixed[i]);
    }
    for (unsigned i = 0; i < r->ext_count; i++) {
        int64_t *amount = ext_at(to, str_of(r->ext[i].name));
        *amount = sum_of(*amount, r->ext[i].amount);
    }
}

static int64_t wrapped(int64_t a, int64_t b, int sign)
{
    return (int64_t)((uint64_t)a + (sign > 0 ? (uint64_t)b : -(uint64_t)b));
}

void resources_account(struct resources *to, const struct resources *r, int sign)
{
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        to->fixed[i] = wrapped(to->fixed[i], r->fixed[i], sign);
    }
    for (unsigned i = 0; i < r->ext_count; i++) {
        int64_t *amount = ext_at(to, str_of(r->ext[i].name));
        *amount = wrapped(*amount, r->ext[i].amount, sign);
    }
}

void resources_max(struct resources *to, const struct resources *r)
{
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        to->fixed[i] = MAX(to->fixed[i], r->fixed[i]);
    }
    for (unsigned i = 0; i < r->ext_count; i++) {
        int64_t *amount = ext_at(to, str_of(r->ext[i].name));
        *amount = MAX(*amount, r->ext[i].amount);
    }
}

/* What strangers write is kept below AMOUNT_MAX, so that sums cannot overflow; no node has as much, so it never
 * fits. */
static int64_t amount_of(int64_t v)
{
    return MAX(0, MIN(v, AMOUNT_MAX));
}

void resources_clamp(struct resources *r, int64_t max)
{
    for (unsigned i = 0; i < RESOURCE_FIXED; i++) {
        r->fixed[i] = MIN(r->fixed[i], max);
    }
    for (unsigned i = 0; i < r->ext_count; i++) {
        r->ext[i].amount = MIN(r->ext[i].amount, max);
    }
}

static int64_t *amount_at(struct resources *to, struct str name)
{
    return str_is(name, "cpu")                 ? &to->fixed[RESOURCE_CPU]
           : str_is(name, "memory")            ? &to->fixed[RESOURCE_MEMORY]
           : str_is(name, "ephemeral-storage") ? &to->fixed[RESOURCE_EPHEMERAL]
                                               : ext_at(to, name);
}

void resources_add_mp(struct resources *to, struct mp quantities)
{
    for (struct mp_iter it = mp_iter(quantities); mp_next(&it);) {
        struct str text = mp_str(it.value);
        bool cpu = str_is(it.key, "cpu");
        int64_t v;
        if (str_is(it.key, "pods")) {
            continue;
        }
        /* What was checked on its way in and is no number here is one too great for it. */
        v = (cpu ? quantity_milli(text, &v) : quantity_units(text, &v)) ? amount_of(v) : AMOUNT_MAX;
        int64_t *amount = amount_at(to, it.key);
        *amount = sum_of(*amount, v);
    }
}

/* "Init containers run one after the other beside the sidecars started before them; then all containers run beside
 * all sidecars." What the pod requests as a whole stands in place of that. */
void resources_of_pod(struct resources *to, struct mp spec)
{
    struct resources sidecars = {0}, peak = {0};
    struct mp init = {0}, containers = {0}, own = {0}, overhead = {0};
    for (struct mp_iter it = mp_iter(spec); mp_next(&it);) {
        struct mp *part = str_is(it.key, "initContainers") ? &init
                          : str_is(it.key, "containers")   ? &containers
                          : str_is(it.key, "resources")    ? &own
                          : str_is(it.key, "overhead")     ? &overhead
                                                           : NULL;
        if (part != NULL) {
            *part = it.value;
        }
    }
    for (struct mp_iter it = mp_iter(init); mp_next(&it);) {
        struct resources one = {0};
        resources_add_mp(&one, mp_path(it.value, "resources.requests"));
        if (str_is(mp_str(mp_get(it.value, "restartPolicy")), "Always")) {
            resources_add(&sidecars, &one);
            resources_max(&peak, &sidecars);
        } else {
            resources_add(&one, &sidecars);
            resources_max(&peak, &one);
        }
        resources_close(&one);
    }
    for (struct mp_iter it = mp_iter(containers); mp_next(&it);) {
        resources_add_mp(to, mp_path(it.value, "resources.requests"));
    }
    resources_add(to, &sidecars);
    resources_max(to, &peak);
    struct mp whole = mp_get(own, "requests");
    for (struct mp_iter it = mp_iter(whole); mp_next(&it);) {
        *amount_at(to, it.key) = 0;
    }
    resources_add_mp(to, whole);
    resources_add_mp(to, overhead);
    resources_close(&sidecars);
    resources_close(&peak);
}

bool host_ports_conflict(const struct host_port *a, const struct host_port *b)
{
    bool any = a->ip[0] == '\0' || b->ip[0] == '\0';
    return a->port == b->port && strcmp(a->protocol, b->protocol) == 0 && (any || strcmp(a->ip, b->ip) == 0);
}
