#include "agent/policy/enforcer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "agent/policy/skeleton.h"
#include "agent/service/isolate.h"

struct enforcer {
    uv_loop_t *loop;
    const struct log *log;
    struct enforcer_events events;
    struct cells *cells;
    struct policy_core *core;
    struct service_kernel *kernel; /* NULL: hollow */
    struct nft_change *changes;    /* room for a transaction */
    bool begun, ready;             /* ready: the kernel's table is ours, and what is in it is known */
    bool changed;                  /* the core has not been asked yet what comes of it */
    bool failing;                  /* the last of what was tried has failed */
    bool closing, remove;
    char trouble[256];
    char overflow[128]; /* the last that was told of */
    unsigned mends_at_once;
    uv_idle_t turn; /* the work, in the loop's next turn; a timer of no time would be run again in the same one */
    uv_timer_t work, calm, verify;
    size_t verified; /* cursor */
    uv_poll_t watch;
    unsigned handles;
    struct enforcer_stats stats;
    void (*close_cb)(void *data);
    void *close_data;
};

static void schedule(struct enforcer *e, uint64_t wait_ms);

/* ---- The kernel's table ---- */

static uint64_t core_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static void count_transaction(struct enforcer *e, uint64_t before_us)
{
    e->stats.transactions++;
    e->stats.longest_us = MAX(e->stats.longest_us, core_us() - before_us);
}

static int apply(const struct nft_change *list, unsigned count, struct error *err, void *data)
{
    struct enforcer *e = data;
    uint64_t before_us = core_us();
    int rc = service_kernel_apply(e->kernel, list, count, err);
    if (rc == 0) {
        count_transaction(e, before_us);
    }
    return rc;
}

static int rebuild(struct enforcer *e, unsigned count, struct error *err)
{
    uint64_t before_us = core_us();
    int rc = service_kernel_rebuild(e->kernel, NULL, e->changes, count, err);
    if (rc == 0) {
        cells_done(e->cells, count);
        count_transaction(e, before_us);
    }
    return rc;
}

static void one_done(unsigned count, void *data)
{
    cells_done(((struct enforcer *)data)->cells, count);
}

static void one_refused(const struct nft_change *c, const struct error *err, void *data)
{
    struct enforcer *e = data;
    log_warn(e->log, "policy", "the kernel does not take an element of \"%s\" (address or group %u.%u.%u.%u): %s",
             policy_table.sets[c->set].name, c->key[0], c->key[1], c->key[2], c->key[3], err->message);
    cells_refuse(e->cells);
}

/* The kernel has refused all of it: pods first, which are then allowed nothing, and the rest element by element, so
 * that what it does not take is left out. */
static int make_piecemeal(struct enforcer *e, unsigned count, struct error *err)
{
    unsigned pods = 0;
    while (pods < count && e->changes[pods].set <= POLICY_SET_SELVES) {
        pods++;
    }
    int rc = rebuild(e, pods, err);
    if (rc != 0) {
        return rc;
    }
    e->ready = true;
    return isolate_apply(&(struct isolate_ops){apply, one_done, one_refused, e}, e->changes + pods, count - pods, err);
}

static int make_anew(struct enforcer *e, struct error *err)
{
    cells_forget(e->cells);
    unsigned count = cells_next(e->cells, e->changes, SERVICE_KERNEL_CHANGES_MAX);
    int rc = rebuild(e, count, err);
    if (rc != 0 && e->failing && count > 0) {
        cells_forget(e->cells);
        count = cells_next(e->cells, e->changes, SERVICE_KERNEL_CHANGES_MAX);
        rc = make_piecemeal(e, count, err);
    }
    e->ready = rc == 0;
    return rc;
}

static int write_changes(struct enforcer *e, struct error *err)
{
    unsigned count = cells_next(e->cells, e->changes, SERVICE_KERNEL_CHANGES_MAX);
    int rc = count == 0 ? 0 : apply(e->changes, count, err, e);
    if (rc == 0) {
        cells_done(e->cells, count);
    }
    return rc;
}

static void tell_overflow(struct enforcer *e)
{
    struct policy_core_stats st;
    policy_core_get_stats(e->core, &st);
    if (strcmp(st.overflow, e->overflow) == 0) {
        return;
    }
    memcpy(e->overflow, st.overflow, sizeof e->overflow);
    if (st.overflow[0] != '\0') {
        log_warn(e->log, "policy", "the network policies for %s allow too much to be kept: a part of it is not allowed",
                 e->overflow);
    }
}

/* ---- Work ---- */

static void on_calm(uv_timer_t *t)
{
    struct enforcer *e = t->data;
    e->mends_at_once = 0;
}

/* Mended at once, but for who has it broken all the time. */
static uint64_t mend_wait_ms(struct enforcer *e)
{
    uv_timer_start(&e->calm, on_calm, 60000, 0);
    return ++e->mends_at_once > ENFORCER_MENDS_AT_ONCE ? ENFORCER_RETRY_MS : 0;
}

static void do_hollow(struct enforcer *e)
{
    while (cells_waiting(e->cells) > 0) {
        cells_done(e->cells, 1);
    }
    e->events.on_settled(e->events.data);
}

static void on_work(uv_timer_t *t)
{
    struct enforcer *e = t->data;
    struct error err = {0};
    policy_core_settle(e->core);
    e->changed = false;
    if (!e->begun) {
        return;
    }
    if (e->kernel == NULL) {
        do_hollow(e);
        return;
    }
    tell_overflow(e);
    int rc = e->ready ? write_changes(e, &err) : make_anew(e, &err);
    e->failing = rc != 0;
    snprintf(e->trouble, sizeof e->trouble, "%.*s", (int)sizeof e->trouble - 1, rc != 0 ? err.message : "");
    if (rc != 0) {
        log_warn(e->log, "policy", "network policies are not enforced as they should be: %s", err.message);
        e->ready = false; /* it is made anew */
        schedule(e, ENFORCER_RETRY_MS);
    } else if (cells_waiting(e->cells) > 0) {
        schedule(e, 0);
    } else {
        e->events.on_settled(e->events.data);
    }
}

static void on_turn(uv_idle_t *i)
{
    struct enforcer *e = i->data;
    uv_idle_stop(i);
    on_work(&e->work);
}

static void schedule(struct enforcer *e, uint64_t wait_ms)
{
    if (e->closing) {
        return;
    }
    if (wait_ms == 0) {
        uv_timer_stop(&e->work);
        uv_idle_start(&e->turn, on_turn);
    } else if (!uv_is_active((uv_handle_t *)&e->turn) && !uv_is_active((uv_handle_t *)&e->work)) {
        uv_timer_start(&e->work, on_work, wait_ms, 0);
    }
}

/* A wait that is on its way after an error is not cut short by further changes. */
void enforcer_changed(struct enforcer *e)
{
    e->changed = true;
    if (!uv_is_active((uv_handle_t *)&e->work)) {
        schedule(e, 0);
    }
}

void enforcer_begin(struct enforcer *e)
{
    if (!e->begun) {
        e->begun = true;
        enforcer_changed(e);
    }
}

/* ---- Is there what should be? ---- */

static void mend(struct enforcer *e, const char *what)
{
    log_warn(e->log, "policy", "the kernel's table of network policies is not what it should be (%s); it is mended",
             what);
    e->ready = false;
    e->stats.mends++;
    schedule(e, mend_wait_ms(e));
}

static void on_touched(uv_poll_t *p, int status, int events)
{
    struct enforcer *e = p->data;
    (void)events;
    if (status < 0) { /* more was told than the socket holds: libuv takes that for its end */
        uv_poll_start(p, UV_READABLE, on_touched);
    }
    enum service_touched how = service_kernel_touched(e->kernel);
    if (how != SERVICE_UNTOUCHED && e->begun && e->ready) {
        mend(e, how == SERVICE_TABLE_TOUCHED ? "another program has changed its rules"
                                             : "another program has changed its elements");
    }
}

void enforcer_verify(struct enforcer *e)
{
    unsigned differs;
    if (e->kernel == NULL || !e->begun || !e->ready || cells_waiting(e->cells) > 0) {
        return;
    }
    unsigned n = cells_settled(e->cells, &e->verified, e->changes, ENFORCER_VERIFY);
    if (service_kernel_compare(e->kernel, e->changes, n, &differs) == 0) {
        e->stats.verified += n;
    } else if (differs < n) {
        mend(e, policy_table.sets[e->changes[differs].set].name);
    }
}

/* Many elements: often; few: rarely. */
static void on_verify(uv_timer_t *t)
{
    struct enforcer *e = t->data;
    enforcer_verify(e);
    uint64_t parts = cells_count(e->cells) / ENFORCER_VERIFY + 1;
    uv_timer_start(t, on_verify, ENFORCER_VERIFY_MS / parts + 1, 0);
}

/* What others have changed meanwhile is not known: it is looked whether the rules are there; elements are compared in
 * their time. */
void enforcer_pause_watch(struct enforcer *e, bool pause)
{
    if (e->kernel == NULL || e->closing) {
        return;
    }
    if (pause) {
        service_kernel_watch_pause(e->kernel);
    } else if (service_kernel_watch_resume(e->kernel) && e->begun && e->ready &&
               !service_kernel_is_whole(e->kernel, NULL)) {
        mend(e, "its rules are gone");
    }
}

/* ---- Life ---- */

static struct enforcer *make(uv_loop_t *loop, const struct log *log, const struct enforcer_events *events)
{
    struct enforcer *e = xcalloc(1, sizeof *e);
    e->loop = loop;
    e->log = log;
    e->events = *events;
    e->cells = cells_new(POLICY_SETS_COUNT);
    e->core = policy_core_new(e->cells);
    uv_idle_init(loop, &e->turn);
    uv_timer_init(loop, &e->work);
    uv_timer_init(loop, &e->calm);
    uv_timer_init(loop, &e->verify);
    e->turn.data = e->work.data = e->calm.data = e->verify.data = e;
    e->handles = 4;
    return e;
}

struct enforcer *enforcer_hollow_new(uv_loop_t *loop, const struct enforcer_events *events)
{
    return make(loop, NULL, events);
}

int enforcer_new(uv_loop_t *loop, const struct log *log, bool own, const struct enforcer_events *events,
                 struct enforcer **out, struct error *err)
{
    struct service_kernel *k = NULL;
    int rc = service_kernel_open(&policy_table, own, &k, err);
    if (rc != 0) {
        return rc;
    }
    struct enforcer *e = make(loop, log, events);
    e->kernel = k;
    e->changes = xcalloc(SERVICE_KERNEL_CHANGES_MAX, sizeof *e->changes);
    uv_timer_start(&e->verify, on_verify, ENFORCER_VERIFY_MS / 10, 0);
    uv_poll_init(loop, &e->watch, service_kernel_watch(k));
    e->watch.data = e;
    e->handles++;
    uv_poll_start(&e->watch, UV_READABLE, on_touched);
    *out = e;
    return 0;
}

struct policy_core *enforcer_core(struct enforcer *e)
{
    return e->core;
}

bool enforcer_settled(const struct enforcer *e)
{
    return e->begun && !e->changed && (e->kernel == NULL || e->ready) && cells_waiting(e->cells) == 0;
}

const char *enforcer_trouble(const struct enforcer *e)
{
    return e->trouble;
}

void enforcer_get_stats(const struct enforcer *e, struct enforcer_stats *out)
{
    *out = e->stats;
    out->elements = cells_count(e->cells);
    out->waiting = cells_waiting(e->cells);
    out->refused = cells_refused(e->cells);
}

static void on_closed(uv_handle_t *h)
{
    struct enforcer *e = h->data;
    struct error err = {0};
    if (--e->handles > 0) {
        return;
    }
    if (e->kernel != NULL && e->remove && service_kernel_remove(e->kernel, &err) != 0) {
        log_warn(e->log, "policy", "%s", err.message);
    }
    void (*cb)(void *data) = e->close_cb;
    void *data = e->close_data;
    service_kernel_close(e->kernel);
    policy_core_free(e->core);
    cells_free(e->cells);
    free(e->changes);
    free(e);
    if (cb != NULL) {
        cb(data);
    }
}

void enforcer_close(struct enforcer *e, bool remove, void (*cb)(void *data), void *data)
{
    assert(!e->closing);
    e->closing = true;
    e->remove = remove;
    e->close_cb = cb;
    e->close_data = data;
    uv_close((uv_handle_t *)&e->turn, on_closed);
    uv_close((uv_handle_t *)&e->work, on_closed);
    uv_close((uv_handle_t *)&e->calm, on_closed);
    uv_close((uv_handle_t *)&e->verify, on_closed);
    if (e->kernel != NULL) {
        uv_close((uv_handle_t *)&e->watch, on_closed);
    }
}
