/* What a pod asks for as a whole. */
#include "agent/pod/podspec.h"

#include "proto/model/quantity.h"

#define AMOUNT_MAX (INT64_MAX / 4096) /* a sum over all containers of all pods cannot overflow */

static int64_t bounded(int64_t a)
{
    return MAX(0, MIN(a, AMOUNT_MAX));
}

struct podspec_total podspec_total_sum(struct podspec_total a, struct podspec_total b)
{
    return (struct podspec_total){bounded(bounded(a.cpu_milli) + bounded(b.cpu_milli)),
                                  bounded(bounded(a.memory_bytes) + bounded(b.memory_bytes)),
                                  bounded(bounded(a.ephemeral_bytes) + bounded(b.ephemeral_bytes))};
}

static struct podspec_total greater(struct podspec_total a, struct podspec_total b)
{
    return (struct podspec_total){MAX(a.cpu_milli, b.cpu_milli), MAX(a.memory_bytes, b.memory_bytes),
                                  MAX(a.ephemeral_bytes, b.ephemeral_bytes)};
}

/* What was checked on its way in and is no number here is one too great for it. */
static struct podspec_total read_amounts(struct mp quantities)
{
    struct podspec_total a = {0};
    for (struct mp_iter it = mp_iter(quantities); mp_next(&it);) {
        struct str text = mp_str(it.value);
        int64_t *to = str_is(it.key, "cpu")                 ? &a.cpu_milli
                      : str_is(it.key, "memory")            ? &a.memory_bytes
                      : str_is(it.key, "ephemeral-storage") ? &a.ephemeral_bytes
                                                            : NULL;
        if (to != NULL && !(to == &a.cpu_milli ? quantity_milli(text, to) : quantity_units(text, to))) {
            *to = AMOUNT_MAX;
        }
    }
    return podspec_total_sum(a, (struct podspec_total){0});
}

/* "Init containers run one after the other beside the sidecars started before them; then all containers run beside
 * all sidecars." What the pod requests as a whole stands in place of that. */
void podspec_sum_requests(struct podspec *s)
{
    struct podspec_total sidecars = {0}, peak = {0}, apps = {0};
    for (unsigned i = 0; i < s->main_count; i++) {
        const struct podspec_container *c = &s->containers[i];
        struct podspec_total one = read_amounts(mp_path(c->raw, "resources.requests"));
        if (!c->is_init) {
            apps = podspec_total_sum(apps, one);
        } else if (c->is_sidecar) {
            sidecars = podspec_total_sum(sidecars, one);
            peak = greater(peak, sidecars);
        } else {
            peak = greater(peak, podspec_total_sum(sidecars, one));
        }
    }
    struct podspec_total sum = greater(podspec_total_sum(apps, sidecars), peak);
    struct mp spec = object_spec(s->object), whole = mp_path(spec, "resources.requests");
    struct podspec_total said = read_amounts(whole);
    sum.cpu_milli = mp_type(mp_get(whole, "cpu")) != MP_NONE ? said.cpu_milli : sum.cpu_milli;
    sum.memory_bytes = mp_type(mp_get(whole, "memory")) != MP_NONE ? said.memory_bytes : sum.memory_bytes;
    s->total = podspec_total_sum(sum, read_amounts(mp_get(spec, "overhead")));
}
