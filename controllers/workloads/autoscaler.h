/* What the parts of the autoscaler share: a HorizontalPodAutoscaler as one reconcile sees it, and what it remembers.
 * Source: Kubernetes autoscaling/v2, "Horizontal Pod Autoscaling: Algorithm details". Pure. */
#ifndef CONTROLLERS_WORKLOADS_AUTOSCALER_H
#define CONTROLLERS_WORKLOADS_AUTOSCALER_H

#include "controllers/usage.h"
#include "controllers/util.h"

#define AUTOSCALER_METRICS_MAX    16u
#define AUTOSCALER_RECORDS_MAX    128u
#define AUTOSCALER_WINDOW_S       300    /* on the way down, if nothing else is said */
#define AUTOSCALER_TOLERANCE      100    /* thousandths */
#define AUTOSCALER_YOUNG_MS       300000 /* so long after its start a pod's readiness is doubted */
#define AUTOSCALER_FIRST_READY_MS 30000  /* a pod that became unready so soon after its start never was ready */
#define AUTOSCALER_UID_MAX        64

/* ---- What the pods use, for one metric ---- */

struct autoscaler_sum {
    int64_t used, requested; /* of pods that count; thousandths of a core, or bytes */
    int64_t missing_requested, unready_requested;
    uint32_t counted, missing, unready;
    bool lacks_request; /* a pod requests nothing of it: `pod`, `container` */
    char pod[64], container[64];
};
struct autoscaler_metric {
    bool cpu, amount;     /* amount: a mean amount of a pod, else percent of what is requested */
    struct str container; /* empty: of the whole pod */
    int64_t target;       /* percent; thousandths of a core, or bytes */
    const char *unknown;  /* why it is not known; NULL = it is */
    struct autoscaler_sum sum;
    int64_t mean, percent; /* as it is: of a pod */
    int64_t replicas;      /* that it asks for */
};

/* ---- What is remembered (reconcile_in.memory) ---- */

/* What was recommended about that time. */
struct autoscaler_advice {
    int64_t at_ms;
    int64_t least, most;
};
/* What was done about that time. */
struct autoscaler_change {
    int64_t at_ms;
    int64_t by; /* more, or fewer */
};
/* A walk over the pods that is not at its end. */
struct autoscaler_walk {
    int64_t generation; /* of the spec that it counts for */
    char target[AUTOSCALER_UID_MAX];
    char set[NAME_KEY_MAX + 1]; /* whose pods it is at */
    uint32_t metrics;
    struct autoscaler_sum sums[AUTOSCALER_METRICS_MAX];
};
struct autoscaler_memory {
    char uid[AUTOSCALER_UID_MAX];          /* whose it is */
    unsigned advices_count, changes_count; /* oldest first */
    struct autoscaler_advice advices[AUTOSCALER_RECORDS_MAX];
    struct autoscaler_change changes[AUTOSCALER_RECORDS_MAX];
    bool walking;
    struct autoscaler_walk walk;
};
/* Nothing, for none, and for those of another object. */
void autoscaler_recall(struct autoscaler_memory *m, struct str uid, struct str bytes);
struct str autoscaler_remember(struct arena *a, const struct autoscaler_memory *m);

/* ---- One reconcile ---- */

struct autoscaler {
    const struct reconcile_in *in;
    struct reconcile_out *out;
    struct arena *a;
    const struct object *obj, *target;
    struct value *doc, *status;
    struct mp spec;
    struct autoscaler_memory memory;
    int64_t current, least, most; /* replicas */
    struct autoscaler_metric metrics[AUTOSCALER_METRICS_MAX];
    unsigned metrics_count;
    bool dirty; /* the status has something to write */
};

/* autoscaler_pods.c: adds up what the target's pods use. False: the walk was left in the middle (out->left_at). */
bool autoscaler_count_pods(struct autoscaler *s);

/* autoscaler_replicas.c */

/* The thousandths of its target that a metric may be off before anything is done. */
struct autoscaler_tolerance {
    int64_t up, down;
};
/* What the metric is, and what it asks for when there are to be `current` pods (sets mean, percent, replicas, or
 * unknown). */
void autoscaler_ask(struct arena *a, struct autoscaler_metric *m, int64_t current,
                    const struct autoscaler_tolerance *tolerance);

/* Rules of one direction. */
struct autoscaler_policy {
    bool percent;
    int64_t value, period_s;
};
struct autoscaler_rules {
    int64_t window_s, tolerance;
    bool disabled, least; /* the policy that allows least counts */
    unsigned count;
    struct autoscaler_policy policies[16];
};
void autoscaler_read_rules(struct mp behavior, bool up, struct autoscaler_rules *out);

struct autoscaler_bound {
    int64_t replicas;
    const char *able_reason, *able_message; /* AbleToScale */
    bool limited;                           /* ScalingLimited */
    const char *limited_reason, *limited_message;
};
/* What becomes of a wish: held back by what was recommended before, by policies, by the bounds. Notes the wish. */
struct autoscaler_bound autoscaler_bind(struct autoscaler_memory *m, int64_t now_ms, int64_t current, int64_t wish,
                                        int64_t least, int64_t most, const struct autoscaler_rules *up,
                                        const struct autoscaler_rules *down);
/* It began to look when there were so many: as if that had been recommended, so that nothing that a former leader saw
 * and this one did not makes it smaller. */
void autoscaler_begin(struct autoscaler_memory *m, int64_t now_ms, int64_t current);
/* What was noted when the calendar was ahead of now counts as noted now: it would not grow old for as long as it
 * was. */
void autoscaler_date(struct autoscaler_memory *m, int64_t now_ms);
void autoscaler_note_change(struct autoscaler_memory *m, int64_t now_ms, int64_t by, int64_t longest_s);

#endif
