/* Who goes for a pod of the system that does not fit. Source: the kubelet's preemption (CriticalPodAdmissionHandler): a
 * node must be able to run what the cluster needs of it, whoever has bound that there. */
#include <stdlib.h>

#include "agent/pod/admit.h"
#include "agent/pod/evict.h"

static int64_t priority(const struct podspec *s)
{
    return mp_int(mp_get(object_spec(s->object), "priority"), 0);
}

bool admit_is_critical(const struct podspec *pod)
{
    return priority(pod) >= EVICT_CRITICAL_PRIORITY;
}

struct candidate {
    const struct podspec *pod;
    unsigned at; /* in others */
};

/* Who goes rather comes first. */
static int compare(const void *x, const void *y)
{
    const struct podspec *a = ((const struct candidate *)x)->pod, *b = ((const struct candidate *)y)->pod;
    int64_t p = priority(a), q = priority(b);
    if (a->qos != b->qos) {
        return a->qos < b->qos ? -1 : 1;
    }
    return p != q ? (p < q ? -1 : 1) : strcmp(a->uid, b->uid);
}

static bool fits_without(const struct podspec *pod, const struct admit_node *node, const struct podspec *const *others,
                         const bool *goes, unsigned count, const struct podspec **rest)
{
    struct admit_refusal ignored;
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        if (!goes[i]) {
            rest[n++] = others[i];
        }
    }
    return admit_pod(pod, node, rest, n, &ignored);
}

bool admit_victims(const struct podspec *pod, const struct admit_node *node, const struct podspec *const *others,
                   const bool *may_go, unsigned count, bool *goes)
{
    struct candidate *list = xcalloc(count + 1, sizeof *list);
    const struct podspec **rest = xcalloc(count + 1, sizeof *rest);
    unsigned n = 0;
    for (unsigned i = 0; i < count; i++) {
        goes[i] = may_go[i] && !admit_is_critical(others[i]);
        if (goes[i]) {
            list[n++] = (struct candidate){others[i], i};
        }
    }
    bool helps = n > 0 && fits_without(pod, node, others, goes, count, rest);
    if (helps) {
        qsort(list, n, sizeof *list, compare);
    }
    /* All of them would do: those that are to go last may stay, if it fits beside them. */
    for (unsigned i = n; i-- > 0;) {
        goes[list[i].at] = false;
        goes[list[i].at] = helps && !fits_without(pod, node, others, goes, count, rest);
    }
    free(list);
    free(rest);
    return helps;
}
