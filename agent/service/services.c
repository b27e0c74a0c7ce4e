#include "agent/service/services.h"

#include "agent/network/conntrack.h"
#include "agent/service/isolate.h"
#include "agent/service/kernel.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* What is to be done is a flag each; `work` runs when one is set, at the loop's next turn, or a second later after an
 * error. In this order: the skeleton, or what a former agent left is read; its ranges; elements; connections. */

struct services {
    uv_loop_t *loop;
    const struct log *log;
    struct service_table *table;
    struct service_kernel *kernel; /* NULL: hollow */
    struct nft_change *changes;    /* room for a transaction */
    struct skeleton_ranges ranges;
    bool begun, ready; /* told all; the kernel's table is ours and its elements are known */
    bool broken;       /* somebody touched it: not taken over, made anew */
    bool touched;      /* while it was being read */
    bool refuses;      /* the last transaction of elements */
    bool failing;      /* the last of what was tried has failed */
    bool ranges_changed;
    bool looking, auditing, sweeping, closing, remove;
    unsigned mends_at_once;
    uv_idle_t turn; /* `work` in the loop's next turn: a timer of no time would be run again in the same one */
    uv_timer_t work, sweep, calm, verify;
    size_t verified; /* cursor */
    uv_poll_t watch;
    unsigned handles;
    struct services_stats stats;
    services_refused_cb *refused_cb;
    void *refused_data;
    void (*bulk_cb)(bool begins, void *data);
    void *bulk_data;
    bool bulk; /* as last told */
    void (*close_cb)(void *data);
    void *close_data;
};

static void schedule(struct services *s, uint64_t wait_ms);
static void maybe_closed(struct services *s);

/* ---- Connections of UDP ---- */

/* On a thread of its own: it sees copies only. */
struct sweep {
    uv_work_t work;
    struct services *services;
    struct service_front *fronts;
    size_t fronts_count;
    struct conntrack_flow *flows;
    unsigned flows_count;
    int rc;
    struct error error;
};

static int compare_fronts(const void *a, const void *b)
{
    const struct service_front *x = a, *y = b;
    return x->ip != y->ip ? (x->ip > y->ip) - (x->ip < y->ip) : (x->port > y->port) - (x->port < y->port);
}

static bool is_to_front(const struct conntrack_flow *flow, void *data)
{
    const struct sweep *w = data;
    struct service_front f = {flow->to_ip, flow->to_port};
    return bsearch(&f, w->fronts, w->fronts_count, sizeof f, compare_fronts) != NULL;
}

static void sweep_on_thread(uv_work_t *req)
{
    struct sweep *w = CONTAINER_OF(req, struct sweep, work);
    qsort(w->fronts, w->fronts_count, sizeof *w->fronts, compare_fronts);
    w->rc = conntrack_list(is_to_front, w, &w->flows, &w->flows_count, &w->error);
}

static void swept(uv_work_t *req, int status)
{
    struct sweep *w = CONTAINER_OF(req, struct sweep, work);
    struct services *s = w->services;
    unsigned stale = 0;
    (void)status;
    for (unsigned i = 0; w->rc == 0 && i < w->flows_count; i++) {
        const struct conntrack_flow *f = &w->flows[i];
        if (service_table_flow_is_stale(s->table, f->to_ip, f->to_port, f->reply_ip, f->reply_port)) {
            w->flows[stale++] = *f;
        }
    }
    if (w->rc == 0) {
        w->rc = conntrack_forget(w->flows, stale, &w->error);
        s->stats.flows_ended += stale;
    }
    if (w->rc != 0) {
        log_warn(s->log, "services", "UDP peers of endpoints that are gone stay with them: %s", w->error.message);
    }
    s->sweeping = false;
    free(w->fronts);
    free(w->flows);
    free(w);
    if (s->closing) {
        maybe_closed(s);
    } else if (service_table_flows_changed(s->table)) {
        schedule(s, 0);
    }
}

/* The rules are in the kernel by now: what is ended does not begin anew with the former endpoint. What changes while
 * the thread looks is swept again. */
static void begin_sweep(struct services *s)
{
    if (s->sweeping || !s->ready || !service_table_has_flows(s->table)) {
        return;
    }
    struct sweep *w = xcalloc(1, sizeof *w);
    w->services = s;
    w->fronts_count = service_table_flow_fronts(s->table, &w->fronts);
    service_table_flows_swept(s->table);
    s->sweeping = true;
    uv_queue_work(s->loop, &w->work, sweep_on_thread, swept);
}

void services_sweep(struct services *s)
{
    if (service_table_refused(s->table) > 0) {
        service_table_retry(s->table);
        schedule(s, 0);
    }
    begin_sweep(s);
}

static void on_sweep(uv_timer_t *t)
{
    services_sweep(t->data);
}

/* ---- The kernel's table ---- */

/* What is there is read on a thread of its own. What somebody changes meanwhile is heard of: then once more. */
struct look {
    uv_work_t work;
    struct services *services;
    struct service_element *list;
    size_t count;
    int rc;
    struct error error;
};

static void look_on_thread(uv_work_t *req)
{
    struct look *l = CONTAINER_OF(req, struct look, work);
    l->rc = service_kernel_read(&skeleton_table, &l->list, &l->count, &l->error);
}

static int set_ranges(struct services *s, struct error *err)
{
    return service_kernel_change(s->kernel, skeleton_write_ranges, &s->ranges, "its ranges of addresses", err);
}

static int make_anew(struct services *s, struct error *err)
{
    service_table_forget(s->table);
    int rc = service_kernel_rebuild(s->kernel, &s->ranges, NULL, 0, err);
    s->ready = rc == 0;
    s->broken = rc != 0;
    s->ranges_changed = s->ranges_changed && rc != 0;
    return rc;
}

static void looked(uv_work_t *req, int status)
{
    struct look *l = CONTAINER_OF(req, struct look, work);
    struct services *s = l->services;
    (void)status;
    s->looking = false;
    s->broken = s->broken || l->rc != 0;
    if (!s->broken && !s->touched) {
        service_table_forget(s->table);
        for (size_t i = 0; i < l->count; i++) {
            service_table_found(s->table, l->list[i].set, l->list[i].key, l->list[i].data);
        }
        s->ready = true;
    }
    free(l->list);
    free(l);
    if (s->closing) {
        maybe_closed(s);
    } else {
        schedule(s, 0);
    }
}

/* What a former agent left is taken over if it is whole; otherwise the table is made anew. The ranges may be others
 * than those of before, in the same number. */
static int take_over_or_make(struct services *s, struct error *err)
{
    if (s->broken || !service_kernel_is_whole(s->kernel, &s->ranges) || set_ranges(s, NULL) != 0) {
        return make_anew(s, err);
    }
    service_kernel_claim(s->kernel);
    struct look *l = xcalloc(1, sizeof *l);
    l->services = s;
    s->ranges_changed = s->touched = false;
    s->looking = true;
    uv_queue_work(s->loop, &l->work, look_on_thread, looked);
    return 0;
}

static uint64_t core_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static int apply_changes(const struct nft_change *list, unsigned count, struct error *err, void *data)
{
    struct services *s = data;
    uint64_t before_us = core_us();
    int rc = service_kernel_apply(s->kernel, list, count, err);
    if (rc == 0) {
        s->stats.transactions++;
        s->stats.longest_us = MAX(s->stats.longest_us, core_us() - before_us);
    }
    return rc;
}

static void changes_done(unsigned count, void *data)
{
    service_table_done(((struct services *)data)->table, count);
}

static void change_refused(const struct nft_change *c, const struct error *err, void *data)
{
    struct services *s = data;
    char text[SERVICE_CHANGE_TEXT];
    service_change_text(c, text);
    const char *whose = service_table_refuse(s->table);
    log_warn(s->log, "services", "Service %s: its connections may fail: the kernel does not take one element (%s): %s",
             whose == NULL ? "(gone)" : whose, text, err->message);
    if (s->refused_cb != NULL) {
        s->refused_cb(whose == NULL ? "" : whose, text, err->message, s->refused_data);
    }
}

/* What is refused again, after what is there was read again, is looked for and left out. */
static int write_changes(struct services *s, struct error *err)
{
    struct nft_change *list = s->changes;
    unsigned n = service_table_next(s->table, list, SERVICE_CHANGES_MAX);
    if (n == 0) {
        return 0;
    }
    int rc = apply_changes(list, n, err, s);
    if (rc == 0) {
        service_table_done(s->table, n);
    } else if (s->refuses) {
        rc = isolate_apply(&(struct isolate_ops){apply_changes, changes_done, change_refused, s}, list, n, err);
    }
    s->refuses = rc != 0;
    return rc;
}

static void on_calm(uv_timer_t *t)
{
    struct services *s = t->data;
    s->mends_at_once = 0;
}

/* Mended at once, but for who has it broken all the time. */
static uint64_t mend_wait_ms(struct services *s)
{
    uv_timer_start(&s->calm, on_calm, 60000, 0);
    return ++s->mends_at_once > SERVICES_MENDS_AT_ONCE ? SERVICES_RETRY_MS : 0;
}

static void tell_bulk(struct services *s, bool bulk)
{
    if (s->bulk_cb != NULL && bulk != s->bulk) {
        s->bulk_cb(bulk, s->bulk_data);
    }
    s->bulk = bulk;
}

static void pause_watch(struct services *s)
{
    tell_bulk(s, true);
    service_kernel_watch_pause(s->kernel);
}

static bool resume_watch(struct services *s)
{
    bool others = service_kernel_watch_resume(s->kernel);
    tell_bulk(s, false);
    return others;
}

void services_on_bulk(struct services *s, void (*cb)(bool begins, void *data), void *data)
{
    s->bulk_cb = cb;
    s->bulk_data = data;
}

/* While there is more than one transaction to come, the watch is paused. If others have changed something meanwhile, of
 * this table or not, what is there is read: true. */
static bool changed_unwatched(struct services *s)
{
    return service_table_waiting(s->table) <= SERVICE_CHANGES_MAX && resume_watch(s);
}

static void on_work(uv_timer_t *t)
{
    struct services *s = t->data;
    struct error err = {0};
    int rc = 0;
    if (!s->begun || s->kernel == NULL || s->looking) {
        return;
    }
    if (!s->ready) {
        rc = take_over_or_make(s, &err);
    } else if (s->ranges_changed) {
        rc = set_ranges(s, &err);
        s->ranges_changed = rc != 0;
    }
    if (rc == 0 && s->ready) {
        if (service_table_waiting(s->table) > SERVICE_CHANGES_MAX) {
            pause_watch(s);
        }
        rc = write_changes(s, &err);
    }
    bool others = rc != 0 ? resume_watch(s) : s->ready && changed_unwatched(s);
    s->failing = rc != 0 && !others;
    if (others) {
        log_info(s->log, "services",
                 "the packet filter was changed while services were written: what is there is read");
        s->ready = false;
        schedule(s, mend_wait_ms(s));
    } else if (rc != 0) {
        log_warn(s->log, "services", "services are not balanced as they should be: %s", err.message);
        s->ready = false; /* what is there is read again; if that is not enough it is made anew */
        schedule(s, SERVICES_RETRY_MS);
    } else if (!s->ready) {
        return; /* looked() goes on */
    } else if (service_table_waiting(s->table) > 0) {
        schedule(s, 0);
    } else if (service_table_flows_changed(s->table)) {
        begin_sweep(s);
    }
}

static void on_turn(uv_idle_t *i)
{
    struct services *s = i->data;
    uv_idle_stop(i);
    on_work(&s->work);
}

static void schedule(struct services *s, uint64_t wait_ms)
{
    if (s->closing || !s->begun || s->kernel == NULL) {
        return;
    }
    if (wait_ms == 0) {
        uv_timer_stop(&s->work);
        uv_idle_start(&s->turn, on_turn);
    } else if (!uv_is_active((uv_handle_t *)&s->turn) && !uv_is_active((uv_handle_t *)&s->work)) {
        uv_timer_start(&s->work, on_work, wait_ms, 0);
    }
}

/* A wait that is on its way after an error is not cut short by further changes. */
static void changed(struct services *s)
{
    if (!uv_is_active((uv_handle_t *)&s->work)) {
        schedule(s, 0);
    }
}

/* Somebody else has changed nf_tables. Whoever does so all the time is mended less often. */
static void on_touched(uv_poll_t *p, int status, int events)
{
    struct services *s = p->data;
    (void)events;
    if (status < 0) { /* more was told than the socket holds: libuv takes that for its end */
        uv_poll_start(p, UV_READABLE, on_touched);
    }
    enum service_touched how = service_kernel_touched(s->kernel);
    if (how == SERVICE_UNTOUCHED || (!s->ready && !s->looking)) {
        return;
    }
    s->ready = false;
    s->touched = true;
    s->broken = s->broken || how == SERVICE_TABLE_TOUCHED;
    s->stats.mends++;
    log_warn(s->log, "services", "another program has changed the table of services (%s); it is mended",
             s->broken ? "its rules are gone or others" : "its elements");
    schedule(s, mend_wait_ms(s));
}

/* ---- Is there what should be? ---- */

/* What is there that nobody here has made. What was taken away while it was listed looks like that as well: then it is
 * read again for nothing. */
static void audited(uv_work_t *req, int status)
{
    struct look *l = CONTAINER_OF(req, struct look, work);
    struct services *s = l->services;
    size_t foreign = 0;
    (void)status;
    s->auditing = false;
    for (size_t i = 0; l->rc == 0 && i < l->count; i++) {
        foreign += !service_table_knows(s->table, l->list[i].set, l->list[i].key);
    }
    s->stats.foreign += foreign;
    free(l->list);
    free(l);
    if (s->closing) {
        maybe_closed(s);
    } else if (foreign > 0 && s->ready && !s->looking) {
        log_warn(s->log, "services",
                 "%zu elements of the kernel's table of services are not this agent's; it is mended", foreign);
        s->ready = false;
        s->stats.mends++;
        schedule(s, mend_wait_ms(s));
    }
}

static void begin_audit(struct services *s)
{
    if (s->auditing || service_table_elements(s->table) > SERVICES_AUDIT_MAX) {
        return;
    }
    struct look *l = xcalloc(1, sizeof *l);
    l->services = s;
    s->auditing = true;
    uv_queue_work(s->loop, &l->work, look_on_thread, audited);
}

void services_verify(struct services *s)
{
    struct nft_change *list = s->changes;
    char text[SERVICE_CHANGE_TEXT];
    unsigned differs;
    if (s->kernel == NULL || !s->begun || !s->ready || s->looking || service_table_waiting(s->table) > 0) {
        return; /* it is being written or read anyway */
    }
    unsigned n = service_table_settled(s->table, &s->verified, list, SERVICES_VERIFY);
    if (service_kernel_compare(s->kernel, list, n, &differs) == 0) {
        s->stats.verified += n;
        if (s->verified == 0) {
            begin_audit(s);
        }
    } else if (differs < n) {
        service_change_text(&list[differs], text);
        log_warn(s->log, "services", "the kernel's table of services is not what it should be (%s); it is mended",
                 text);
        s->ready = false;
        s->stats.mends++;
        schedule(s, mend_wait_ms(s));
    }
}

/* Many elements: often; few: rarely. */
static void on_verify(uv_timer_t *t)
{
    struct services *s = t->data;
    services_verify(s);
    uint64_t parts = service_table_elements(s->table) / SERVICES_VERIFY + 1;
    uv_timer_start(t, on_verify, SERVICES_VERIFY_MS / parts + 1, 0);
}

/* ---- Public ---- */

static struct services *make(uv_loop_t *loop, const struct log *log)
{
    struct services *s = xcalloc(1, sizeof *s);
    s->loop = loop;
    s->log = log;
    s->table = service_table_new();
    s->changes = xcalloc(SERVICE_CHANGES_MAX, sizeof *s->changes);
    uv_idle_init(loop, &s->turn);
    uv_timer_init(loop, &s->work);
    uv_timer_init(loop, &s->sweep);
    uv_timer_init(loop, &s->calm);
    uv_timer_init(loop, &s->verify);
    s->turn.data = s->work.data = s->sweep.data = s->calm.data = s->verify.data = s;
    s->handles = 5;
    return s;
}

struct services *services_hollow_new(uv_loop_t *loop)
{
    return make(loop, NULL);
}

int services_new(uv_loop_t *loop, const struct log *log, bool own, struct services **out, struct error *err)
{
    struct service_kernel *k = NULL;
    int rc = service_kernel_open(&skeleton_table, own, &k, err);
    if (rc != 0) {
        return rc;
    }
    struct services *s = make(loop, log);
    s->kernel = k;
    uv_timer_start(&s->sweep, on_sweep, SERVICES_SWEEP_MS, SERVICES_SWEEP_MS);
    uv_timer_start(&s->verify, on_verify, SERVICES_SWEEP_MS, 0);
    uv_poll_init(loop, &s->watch, service_kernel_watch(k));
    s->watch.data = s;
    s->handles++;
    uv_poll_start(&s->watch, UV_READABLE, on_touched);
    *out = s;
    return 0;
}

void services_on_refused(struct services *s, services_refused_cb *cb, void *data)
{
    s->refused_cb = cb;
    s->refused_data = data;
}

void services_set_ranges(struct services *s, const struct skeleton_ranges *ranges)
{
    s->ranges = *ranges;
    s->ranges_changed = true;
    changed(s);
}

void services_set_addresses(struct services *s, const uint32_t *ips, unsigned count)
{
    service_table_set_addresses(s->table, ips, count);
    changed(s);
}

void services_put(struct services *s, const struct service_port *p)
{
    service_table_put(s->table, p);
    changed(s);
}

void services_remove(struct services *s, const char *key)
{
    service_table_remove(s->table, key);
    changed(s);
}

void services_begin(struct services *s)
{
    s->begun = true;
    changed(s);
}

void services_write_now(struct services *s)
{
    if (!s->failing && !s->closing && service_table_waiting(s->table) > 0) {
        on_work(&s->work);
    }
}

void services_get_stats(const struct services *s, struct services_stats *out)
{
    *out = s->stats;
    out->ports = service_table_count(s->table);
    out->elements = service_table_elements(s->table);
    out->refused = service_table_refused(s->table);
    out->waiting = service_table_waiting(s->table);
    out->works = s->begun && s->kernel != NULL && !s->failing;
    out->settled = s->begun && s->ready && !s->ranges_changed && out->waiting == 0;
}

/* ---- The end ---- */

static void maybe_closed(struct services *s)
{
    if (s->handles > 0 || s->sweeping || s->looking || s->auditing) {
        return;
    }
    struct error err = {0};
    if (s->kernel != NULL && s->remove && service_kernel_remove(s->kernel, &err) != 0) {
        log_warn(s->log, "services", "%s", err.message);
    }
    void (*cb)(void *data) = s->close_cb;
    void *data = s->close_data;
    service_kernel_close(s->kernel);
    service_table_free(s->table);
    free(s->changes);
    free(s);
    if (cb != NULL) {
        cb(data);
    }
}

static void on_closed(uv_handle_t *h)
{
    struct services *s = h->data;
    s->handles--;
    maybe_closed(s);
}

void services_close(struct services *s, bool remove, void (*cb)(void *data), void *data)
{
    assert(!s->closing);
    s->closing = true;
    s->remove = remove;
    s->close_cb = cb;
    s->close_data = data;
    uv_close((uv_handle_t *)&s->turn, on_closed);
    uv_close((uv_handle_t *)&s->work, on_closed);
    uv_close((uv_handle_t *)&s->sweep, on_closed);
    uv_close((uv_handle_t *)&s->calm, on_closed);
    uv_close((uv_handle_t *)&s->verify, on_closed);
    if (s->kernel != NULL) {
        uv_close((uv_handle_t *)&s->watch, on_closed);
    }
}
