#include "master/core.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/facts/cluster.h"
#include "proto/facts/condition.h"
#include "proto/rpc/api.h"

struct core {
    struct core_config config;
    struct replica *replica;
    struct strmap heard; /* node name -> struct heard */
    bool forgetting;     /* nodes that are gone; core_forget_gone goes on at forget_at */
    size_t forget_at;
    struct usage *usage;
    int64_t attended_ms;    /* a clock that stands while we do not listen */
    int64_t attended_at_ms; /* env's now_ms when it was set; INT64_MIN = never */
    /* While leading: */
    struct controllers *controllers;
    struct scheduler *scheduler;
    struct scheduler *ending; /* of an earlier leadership, while it is freed in steps; NULL: there is none */
    int64_t leading_since_ms, leading_attended_ms;
    bool asking; /* what the others have heard */
    uint64_t leaderships;
    bool scheduler_first; /* they begin in turns */
    struct {
        uint64_t count, told;
        int64_t tell_ms; /* when it may be told again */
        bool now;
    } waits; /* for room in the open batch */
};

struct heard {
    int64_t at_ms; /* attended; below 0: before we began */
};

#define END_PODS    512u  /* of a scheduler that is freed, in one turn */
#define FORGET_STEP 2000u /* nodes in one call: some milliseconds */
#define ASKING_MS   250   /* nobody is given up so long after the last look, while we ask */

static void forget_heard(struct core *c)
{
    size_t cursor = 0;
    const struct strmap_entry *e;
    while ((e = strmap_next(&c->heard, &cursor)) != NULL) {
        free(e->value);
    }
    strmap_close(&c->heard);
}

struct core *core_new(const struct core_config *config)
{
    assert(config->env != NULL);
    struct core *c = xcalloc(1, sizeof *c);
    c->config = *config;
    if (c->config.node_grace_ms == 0) {
        c->config.node_grace_ms = API_NODE_GRACE_MS_DEFAULT;
    }
    strmap_init(&c->heard);
    c->usage = usage_new(c->config.usage_ms);
    c->attended_at_ms = INT64_MIN;
    return c;
}

void core_free(struct core *c)
{
    if (c == NULL) {
        return;
    }
    controllers_free(c->controllers);
    scheduler_free(c->scheduler);
    scheduler_free(c->ending);
    usage_free(c->usage);
    forget_heard(c);
    free(c);
}

void core_set_node(struct core *c, struct replica *n)
{
    assert(c->replica == NULL);
    c->replica = n;
}

static int submit(void *data, const struct txn *t, struct error *err)
{
    struct core *c = data;
    return replica_submit(c->replica, t, NULL, NULL, err);
}

static const struct view *tip(void *data)
{
    struct core *c = data;
    return store_tip(replica_store(c->replica));
}

static bool room(void *data)
{
    struct core *c = data;
    return replica_has_room(c->replica);
}

static int64_t heartbeat_age_ms(void *data, struct str node)
{
    return core_heartbeat_age_ms(data, node);
}

static bool usage_of(void *data, const struct object *pod, struct usage_pod *out)
{
    struct core *c = data;
    return usage_of_pod(c->usage, pod, env_now_ms(c->config.env), out);
}

struct usage *core_usage(struct core *c)
{
    return c->usage;
}

static const struct zone *zone_of(void *data, struct str name)
{
    struct core *c = data;
    return c->config.zone == NULL ? NULL : c->config.zone(c->config.data, name);
}

static int sign_user(void *data, struct arena *a, const struct pki_subject *who, const char *csr_pem, int64_t max_s,
                     int64_t since_ms, struct str asked_by, struct str *cert_pem, struct error *err)
{
    struct core *c = data;
    return c->config.sign_user(c->config.data, a, who, csr_pem, max_s, since_ms, asked_by, cert_pem, err);
}

void core_on_leading(struct core *c, bool leading, uint64_t term)
{
    assert(c->replica != NULL);
    controllers_free(c->controllers);
    if (c->scheduler != NULL) {
        scheduler_free(c->ending);
        c->ending = c->scheduler;
    }
    c->controllers = NULL;
    c->scheduler = NULL;
    c->asking = false;
    usage_clear(c->usage);
    if (!leading) {
        return;
    }
    c->leading_since_ms = env_now_ms(c->config.env);
    c->leading_attended_ms = c->attended_ms;
    c->asking = c->config.ask_heard != NULL;
    uint64_t seed = c->config.seed ^ (term * 0x9e3779b97f4a7c15u) ^ ++c->leaderships;
    c->controllers = controllers_new(&(struct controllers_config){
        .env = c->config.env,
        .log = c->config.log,
        .seed = seed,
        .soft = {.data = c,
                 .heartbeat_age_ms = heartbeat_age_ms,
                 .node_grace_ms = c->config.node_grace_ms,
                 .usage = usage_of,
                 .usage_period_ms = usage_period_ms(c->usage),
                 .zone = zone_of,
                 .sign_user = c->config.sign_user == NULL ? NULL : sign_user},
        .submit = submit,
        .tip = tip,
        .room = room,
        .data = c,
    });
    c->scheduler = scheduler_new(&(struct scheduler_config){
        .env = c->config.env, .log = c->config.log, .seed = seed, .budget_ms = CORE_BUDGET_MS / 2});
    controllers_resync(c->controllers);
    scheduler_resync(c->scheduler, tip(c));
    if (c->asking) {
        c->config.ask_heard(c->config.data);
    }
}

void core_on_tip(struct core *c, const struct change *changes, unsigned count)
{
    if (c->controllers == NULL) {
        return; /* the barrier's own bookkeeping, before on_leading */
    }
    controllers_observe(c->controllers, changes, count);
    scheduler_observe(c->scheduler, changes, count);
}

/* ---- Who was heard ---- */

void core_attend(struct core *c)
{
    int64_t now = env_now_ms(c->config.env);
    if (c->attended_at_ms != INT64_MIN && now > c->attended_at_ms) {
        c->attended_ms += MIN(now - c->attended_at_ms, CORE_ATTEND_MAX_MS);
    }
    c->attended_at_ms = now;
}

static void hear(struct core *c, struct str node_name, int64_t at_ms)
{
    struct heard *h = strmap_get(&c->heard, node_name);
    if (h == NULL) {
        h = xcalloc(1, sizeof *h);
        h->at_ms = at_ms;
        strmap_set(&c->heard, node_name, h);
    }
    h->at_ms = MAX(h->at_ms, at_ms);
}

void core_heartbeat(struct core *c, struct str node_name)
{
    hear(c, node_name, c->attended_ms);
}

void core_hear_of(struct core *c, struct str node_name, int64_t age_ms)
{
    if (age_ms >= 0) {
        hear(c, node_name, c->attended_ms - age_ms);
    }
}

void core_heard_all(struct core *c)
{
    c->asking = false;
}

bool core_next_heard(const struct core *c, size_t *cursor, struct str *node_name, int64_t *age_ms)
{
    const struct strmap_entry *e = strmap_next(&c->heard, cursor);
    if (e == NULL) {
        return false;
    }
    *node_name = (struct str){e->key, e->key_size};
    *age_ms = c->attended_ms - ((const struct heard *)e->value)->at_ms;
    return true;
}

bool core_last_heard(const struct core *c, struct str node_name, int64_t *age_ms)
{
    const struct heard *h = strmap_get(&c->heard, node_name);
    *age_ms = h == NULL ? 0 : c->attended_ms - h->at_ms;
    return h != NULL;
}

static void forget_usage(struct core *c, const struct view *v)
{
    struct str name, gone[64];
    size_t cursor = 0, count = 0; /* the others next time */
    while (count < ARRAY_SIZE(gone) && usage_next(c->usage, &cursor, &name)) {
        if (view_get(v, kind_by_id(KIND_NODE), STR_NONE, name) == NULL) {
            gone[count++] = name;
        }
    }
    for (size_t i = 0; i < count; i++) {
        usage_forget(c->usage, gone[i]);
    }
}

/* One that comes to stand before the cursor meanwhile is looked at the next time. */
void core_forget_gone(struct core *c, bool begin)
{
    struct str gone[FORGET_STEP];
    size_t count = 0;
    if (begin && !c->forgetting) {
        c->forgetting = true;
        c->forget_at = 0;
    }
    if (!c->forgetting) {
        return;
    }
    const struct view *v = store_committed(replica_store(c->replica));
    for (unsigned looked = 0; looked < FORGET_STEP && c->forgetting; looked++) {
        const struct strmap_entry *e = strmap_next(&c->heard, &c->forget_at);
        struct str name = e == NULL ? STR_NONE : (struct str){e->key, e->key_size};
        c->forgetting = e != NULL;
        if (e != NULL && view_get(v, kind_by_id(KIND_NODE), STR_NONE, name) == NULL) {
            gone[count++] = name;
        }
    }
    for (size_t i = 0; i < count; i++) {
        free(strmap_remove(&c->heard, gone[i]));
    }
    forget_usage(c, v);
}

/* As the cluster's configuration says, or what this master was started with. Leading only. */
static int64_t node_grace_ms(const struct core *c)
{
    struct cluster_config config;
    cluster_config_read(
        view_get(tip((void *)c), kind_by_id(KIND_CLUSTERCONFIGURATION), STR_NONE, STR(CLUSTER_CONFIG_NAME)), &config);
    return config.node_grace_ms == 0 ? c->config.node_grace_ms : config.node_grace_ms;
}

int64_t core_heartbeat_age_ms(struct core *c, struct str node_name)
{
    if (c->controllers == NULL) {
        return -1;
    }
    const struct heard *h = strmap_get(&c->heard, node_name);
    int64_t age = c->attended_ms - (h == NULL ? c->leading_attended_ms : h->at_ms);
    return c->asking ? MIN(age, node_grace_ms(c) - ASKING_MS) : age;
}

bool core_node_lives(struct core *c, struct str node_name)
{
    const struct view *v = c->controllers == NULL ? NULL : tip(c);
    const struct object *o = v == NULL ? NULL : view_get(v, kind_by_id(KIND_NODE), STR_NONE, node_name);
    if (o == NULL || core_heartbeat_age_ms(c, node_name) > node_grace_ms(c)) {
        return false;
    }
    struct mp ready = condition_mp(o, "Ready");
    return mp_type(ready) == MP_MAP && !condition_is(ready, "Unknown"); /* one that never told how it is does not */
}

static bool schedule(struct core *c)
{
    if (!replica_has_room(c->replica)) {
        return false;
    }
    struct txn t;
    txn_init(&t, "scheduler");
    bool more = scheduler_run(c->scheduler, tip(c), env_wall_ms(c->config.env), CORE_SCHEDULE_PODS, &t);
    if (t.count > 0) {
        struct error err = {0};
        if (replica_submit(c->replica, &t, NULL, NULL, &err) != 0) {
            log_warn(c->config.log, "core", "bindings refused, pods queued again: %s", err.message);
            if (c->scheduler != NULL) {
                scheduler_failed(c->scheduler, &t);
            }
            more = false; /* not at once: the next change or deadline tries again */
        }
    }
    txn_close(&t);
    return more;
}

static void wait_for_room(struct core *c)
{
    int64_t now_ms = env_now_ms(c->config.env);
    c->waits.count += !c->waits.now;
    c->waits.now = true;
    if (now_ms < c->waits.tell_ms) {
        return;
    }
    struct replica_stats stats;
    replica_stats(c->replica, &stats);
    log_info(
        c->config.log, "core",
        "controllers and scheduler wait until what was decided is replicated (%llu times since last told; %zu bytes "
        "and %u answers are due): users and nodes go first",
        (unsigned long long)(c->waits.count - c->waits.told), store_batch_bytes(replica_store(c->replica)),
        stats.queued);
    c->waits.told = c->waits.count;
    c->waits.tell_ms = now_ms + CORE_TELL_MS;
}

/* A transaction that was refused for want of leadership ends it: each looks for itself. */
static bool decide(struct core *c)
{
    bool more = false;
    for (unsigned i = 0; i < 2; i++) {
        if (c->controllers == NULL || store_tip(replica_store(c->replica)) == NULL) {
            return false;
        }
        more |= c->scheduler_first == (i == 0) ? schedule(c) : controllers_run(c->controllers, CORE_BUDGET_MS / 2);
    }
    c->scheduler_first = !c->scheduler_first;
    return more;
}

bool core_turn(struct core *c)
{
    bool more = false;
    if (c->controllers != NULL && store_tip(replica_store(c->replica)) != NULL) {
        c->waits.now &= !replica_has_room(c->replica);
        more = decide(c);
        if (c->controllers != NULL && replica_leading(c->replica) && !replica_has_room(c->replica)) {
            wait_for_room(c);
            more = false;
        }
    }
    if (c->ending != NULL && scheduler_end(c->ending, END_PODS)) {
        c->ending = NULL;
    }
    bool moved = replica_turn(c->replica);
    return more || moved || c->ending != NULL;
}

uint64_t core_waits(const struct core *c)
{
    return c->waits.count;
}

int64_t core_leading_since_ms(const struct core *c)
{
    return c->leading_since_ms;
}

int64_t core_next_deadline(const struct core *c)
{
    int64_t at = replica_next_deadline(c->replica);
    if (c->controllers != NULL &&
        (!replica_leading(c->replica) || replica_has_room(c->replica))) { /* or an entry wakes us */
        at = MIN(at, controllers_next_deadline(c->controllers));
        at = MIN(at, scheduler_next_deadline(c->scheduler));
    }
    return at;
}

void core_stats(const struct core *c, struct controllers_stats *controllers, struct scheduler_stats *scheduler)
{
    memset(controllers, 0, sizeof *controllers);
    memset(scheduler, 0, sizeof *scheduler);
    if (c->controllers != NULL) {
        controllers_stats(c->controllers, controllers);
        scheduler_stats(c->scheduler, scheduler);
    }
}
